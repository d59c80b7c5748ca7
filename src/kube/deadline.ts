import type { Clock } from "../base/clock.ts";
import { toError } from "../base/errors.ts";

/**
 * Runs `work` under a signal that aborts with `timeoutError()` after `timeoutMs`, or with the caller's reason when
 * `signal` aborts. The caller gets that reason at once, whatever the work does then: undici ends a request whose
 * connection is still being made only when that attempt has succeeded or failed.
 */
export async function withDeadline<T>(
  clock: Clock,
  deadline: {
    readonly timeoutMs: number;
    readonly timeoutError: () => Error;
    readonly signal?: AbortSignal | undefined;
  },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  deadline.signal?.throwIfAborted();
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(deadline.signal?.reason);
  deadline.signal?.addEventListener("abort", onAbort, { once: true });
  const aborted = new Promise<never>((_resolve, reject) => {
    controller.signal.addEventListener("abort", () => reject(toError(controller.signal.reason)), {
      once: true,
    });
  });
  const timer = clock.setTimer(deadline.timeoutMs, () => controller.abort(deadline.timeoutError()));
  try {
    return await Promise.race([work(controller.signal), aborted]);
  } catch (thrown) {
    controller.signal.throwIfAborted();
    throw thrown;
  } finally {
    timer.cancel();
    deadline.signal?.removeEventListener("abort", onAbort);
  }
}
