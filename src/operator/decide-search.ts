import type { Action } from "./action.ts";
import { waitingForRetry } from "./failures.ts";
import type { Observation } from "./observation.ts";
import type { OperatorSettings } from "./settings.ts";

/** Milliseconds between searches: at first, when a new machine or volume is about to be visible, and later. */
const SOON_MS = 2000;
const LATER_MS = 20_000;
/** Searches that must have found nothing, at least. */
const MISSES = 3;

/**
 * Settles a request of unknown outcome whose result nobody wants any more. A process sends it at most once more, since the
 * answer is the quickest proof; from then on it only searches, by the token, for what the request may have made. Nothing was
 * made when several searches over `unknownMachineMs`, all later than the last request, have found nothing (EC2 developer
 * guide, "Eventual consistency").
 *
 * @returns the next step; "nothing" when it is proven that there is nothing; `undefined` while it may be sent
 */
export function search(
  observed: Observation,
  what: {
    readonly action: "FindLaunched" | "FindVolume";
    readonly token: string;
    readonly isUnknown: boolean;
  },
  settings: OperatorSettings,
): Action | "nothing" | undefined {
  const known = observed.memory.search?.token === what.token ? observed.memory.search : undefined;
  if (known === undefined) {
    return what.isUnknown ? (waitingForRetry(observed, what.action) ?? { kind: what.action }) : undefined;
  }
  const forMs = observed.nowMs - known.sinceMs;
  if (known.misses >= MISSES && forMs >= settings.unknownMachineMs) {
    return "nothing";
  }
  const dueMs = known.atMs + (forMs < LATER_MS ? SOON_MS : LATER_MS) - observed.nowMs;
  return (
    waitingForRetry(observed, what.action) ??
    (dueMs > 0 ? { kind: "Wait", afterMs: dueMs, reason: "LaunchUnsettled" } : { kind: what.action })
  );
}
