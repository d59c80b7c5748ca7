import { performance } from "node:perf_hooks";

/** A pending timer. */
export interface Timer {
  /** Stops the timer; harmless when it already fired. */
  cancel(): void;
}

/**
 * Time as a dependency. Everything that waits or ages takes a Clock, so that tests and the simulation
 * decide when time passes.
 */
export interface Clock {
  /** Wall-clock time, for what people read. Never for measuring: it can jump. */
  now(): Date;
  /** Milliseconds on a clock that never goes back; its zero has no meaning. */
  monotonicMs(): number;
  /** Calls `callback` once after `delayMs`. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

/**
 * Resolves after `delayMs`, or rejects with the signal's reason when `signal` aborts first.
 *
 * @param delayMs milliseconds; zero or less resolves on the next timer turn
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.setTimer(Math.max(0, delayMs), () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
