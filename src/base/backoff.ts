/** Shape of an exponential back-off. */
export interface BackoffOptions {
  /** Delay before the first retry, in milliseconds. */
  readonly baseMs: number;
  /** Upper bound of a delay, in milliseconds. */
  readonly maxMs: number;
  /** Share of the delay that is random, 0 to 1. Default 0.2. */
  readonly jitter?: number;
}

/** Random numbers in [0, 1) as a dependency, so that one seed decides a simulation. */
export type Random = () => number;

/**
 * Delay before retry number `attempt` (0 is the first), in milliseconds: base × 2^attempt, capped, with the
 * last `jitter` share drawn at random so that many waiters do not come back together.
 */
export function backoffMs(attempt: number, options: BackoffOptions, random: Random): number {
  const full = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(attempt, 40));
  const jitter = options.jitter ?? 0.2;
  return full * (1 - jitter * random());
}
