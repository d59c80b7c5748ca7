import { missingID } from "./absence.ts";
import type { Blocker } from "./blocker.ts";
import type { Observation } from "./observation.ts";
import { adoptionBlocker } from "./ownership.ts";

/** What the satellite waits for and no call of the operator can bring about; shown on it. */
export function blockerOf(observed: Observation): Blocker | undefined {
  return adoptionBlocker(observed) ?? missingBlocker(observed) ?? observed.awakeLimit;
}

/** No read shows the machine or the volume. Until that is a proof (absence.ts), nothing takes its place. */
function missingBlocker(observed: Observation): Blocker | undefined {
  const id = missingID(observed);
  const { name, support } = observed.cloud.words;
  return id === undefined
    ? undefined
    : {
        reason: "NotShownByCloud",
        message:
          `${name} does not show ${id}, which was there before; nothing takes its place until all reads and lists have lacked ` +
          `it for minutes. Look for it in the account; if it is there, wait, or ask ${support}`,
      };
}
