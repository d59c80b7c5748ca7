import { attemptTrouble } from "../attempts.ts";
import { blockerOf } from "../blockers.ts";
import { no, noFor, yes, type Rendering, type Said } from "./condition-row.ts";

/** Whether it has a machine. */
export function launched({ observed, status }: Rendering): Said {
  if (status.machine !== undefined) {
    return yes("Launched", `machine ${status.machine.id} exists`);
  }
  const trouble = observed.memory.failures.last ?? blockerOf(observed) ?? attemptTrouble(status);
  return trouble === undefined ? no("NotLaunched", "no machine was launched yet") : noFor(trouble);
}
