/** Resolves when `signal` aborts; at once when it already has. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    } else {
      signal.addEventListener("abort", () => resolve(), { once: true });
    }
  });
}

/** Rejects with the signal's reason when `signal` aborts; for a race with work that cannot be told to stop. */
export async function rejectOnAbort(signal: AbortSignal): Promise<never> {
  await untilAborted(signal);
  throw signal.reason;
}
