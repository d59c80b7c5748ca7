import type { Blocker, Observation } from "./observation.ts";
import { adoptionBlocker } from "./ownership.ts";

/** What the satellite waits for that no call of the operator can bring about; shown on it. */
export function blockerOf(o: Observation): Blocker | undefined {
  return adoptionBlocker(o) ?? o.awakeLimit;
}
