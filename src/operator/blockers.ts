import { missing } from "./absence.ts";
import type { Blocker } from "./blocker.ts";
import type { Observation } from "./observation.ts";
import { adoptionBlocker } from "./ownership.ts";

/** What the satellite waits for that no call of the operator can bring about; shown on it. */
export function blockerOf(o: Observation): Blocker | undefined {
  return adoptionBlocker(o) ?? missingBlocker(o) ?? o.awakeLimit;
}

/** EC2 shows no trace of the machine or the volume; until that is a proof, nothing takes its place. */
function missingBlocker(o: Observation): Blocker | undefined {
  const id = missing(o);
  return id === undefined
    ? undefined
    : {
        reason: "NotShownByEC2",
        message:
          `EC2 does not show ${id}, which was there before; nothing takes its place until all reads and lists have lacked ` +
          "it for minutes. Look for it in the account; if it is there, wait, or ask AWS",
      };
}
