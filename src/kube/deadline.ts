import type { Clock } from "../base/clock.ts";

/**
 * Runs `work` under a signal that aborts with `timeoutError()` after `timeoutMs`, or with the caller's reason
 * when `signal` aborts. Whatever the work then throws, that reason is what the caller sees.
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
  const timer = clock.setTimer(deadline.timeoutMs, () => controller.abort(deadline.timeoutError()));
  try {
    return await work(controller.signal);
  } catch (thrown) {
    controller.signal.throwIfAborted();
    throw thrown;
  } finally {
    timer.cancel();
    deadline.signal?.removeEventListener("abort", onAbort);
  }
}
