import type { Satellite } from "../../satellite/types.ts";

/** A stretch of running or sleeping, as it was when this process first saw it. */
export interface Stretch {
  /** Its beginning as the status has it, RFC 3339. */
  readonly since: string;
  /** Milliseconds that it had lasted by then, by the wall clock. */
  readonly beforeMs: number;
  /** When that was; monotonic milliseconds. */
  readonly atMs: number;
}

/** Takes note of the stretch that the satellite is in, so that a wall clock that is set does not change its length. */
export function noteStretch(
  memory: { stretch?: Stretch },
  { status }: Satellite,
  now: Date,
  nowMs: number,
): void {
  const { power, sleep } = status;
  const since = sleep?.since ?? (power.state === "Running" ? power.since : undefined);
  if (since !== undefined && memory.stretch?.since !== since) {
    memory.stretch = { since, beforeMs: wallMs(since, now), atMs: nowMs };
  }
}

/** Milliseconds since then by the wall clock, 0 at least. */
export function wallMs(since: string, now: Date): number {
  return Math.max(0, now.getTime() - Date.parse(since));
}
