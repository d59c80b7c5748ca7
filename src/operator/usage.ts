import type { Satellite } from "../satellite/types.ts";
import type { Memory, Observation } from "./observation.ts";

/** A stretch of running or sleeping, as this process saw it first. */
export interface Stretch {
  /** Its beginning as the status has it, RFC 3339. */
  readonly since: string;
  /** Milliseconds that it had lasted by then, by the wall clock. */
  readonly beforeMs: number;
  /** When that was; monotonic milliseconds. */
  readonly atMs: number;
}

/** Takes note of the stretch that the satellite is in, so that its length does not follow a wall clock that is set. */
export function noteStretch(memory: Memory, { status }: Satellite, now: Date, nowMs: number): void {
  const { power, sleep } = status;
  const since = sleep?.since ?? (power.state === "Running" ? power.since : undefined);
  if (since !== undefined && memory.stretch?.since !== since) {
    memory.stretch = { since, beforeMs: wallMs(since, now), atMs: nowMs };
  }
}

/**
 * Whole seconds of the stretch that began at `since` (RFC 3339), by the monotonic clock as far as this process has seen it;
 * what was before that, by the wall clock. 0 when `since` is absent.
 */
export function secondsOf({ memory, now, nowMs }: Observation, since: string | undefined): number {
  if (since === undefined) {
    return 0;
  }
  const { stretch } = memory;
  const lastedMs = stretch?.since === since ? stretch.beforeMs + nowMs - stretch.atMs : wallMs(since, now);
  return Math.round(lastedMs / 1000);
}

function wallMs(since: string, now: Date): number {
  return Math.max(0, now.getTime() - Date.parse(since));
}
