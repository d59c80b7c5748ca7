import { sleep, systemClock } from "../../src/base/clock.ts";

/** How long anything may take that is waited for, in milliseconds; a machine under load is slow. */
const PATIENCE_MS = 90_000;
const POLL_MS = 20;

/**
 * Polls for what other processes do, where nothing signals it. Where something does, wait for that.
 *
 * @param look what was found; undefined and false mean not yet
 * @throws Error when it takes longer than `timeoutMs`
 */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  {
    timeoutMs = PATIENCE_MS,
    pollMs = POLL_MS,
  }: { readonly timeoutMs?: number; readonly pollMs?: number } = {},
): Promise<T> {
  const untilMs = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) {
      return found;
    }
    if (performance.now() > untilMs) {
      throw new Error(`did not happen within ${timeoutMs / 1000} s: ${what}`);
    }
    await sleep(systemClock, pollMs);
  }
}
