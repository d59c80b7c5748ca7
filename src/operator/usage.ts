import { wallMs } from "./memory/stretch.ts";
import type { Observation } from "./observation.ts";

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
