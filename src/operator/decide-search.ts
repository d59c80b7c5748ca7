import type { Action } from "./action.ts";
import { waitingForRetry } from "./failures.ts";
import type { Observation } from "./observation.ts";
import type { OperatorSettings } from "./settings.ts";

/** Between searches at first, when what was made is about to be seen, and later. */
const SOON_MS = 2000;
const LATER_MS = 20_000;
/** So many searches at least must have found nothing. */
const MISSES = 3;

/**
 * What comes of a request of unknown outcome when nobody wants its outcome any more. It is sent once more at most by one
 * process, since the answer is the quickest proof; from then on what it may have made is only looked for, by its token.
 * Nothing was made when several searches over `unknownInstanceMs` have found nothing, all of them later than the last
 * request (EC2 developer guide, "Eventual consistency").
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
  if (known.misses >= MISSES && forMs >= settings.unknownInstanceMs) {
    return "nothing";
  }
  const dueMs = known.atMs + (forMs < LATER_MS ? SOON_MS : LATER_MS) - observed.nowMs;
  return (
    waitingForRetry(observed, what.action) ??
    (dueMs > 0 ? { kind: "Wait", afterMs: dueMs, reason: "LaunchUnsettled" } : { kind: what.action })
  );
}
