import { attemptTrouble } from "../attempts.ts";
import { answers, isLeaving } from "../health.ts";
import { healthOf } from "../older-status.ts";
import { no, noFor, unknown, yes, type Rendering, type Said } from "./condition-row.ts";

/** What `status.health` and `status.attempts` say of the machine. */
export function healthy({ observed, status, shown }: Rendering): Said | undefined {
  const { power, health } = status;
  if (health !== undefined) {
    return no(health.trouble, health.message);
  }
  const wish = observed.satellite.spec.desiredPower;
  const failed = attemptTrouble(status);
  if (failed !== undefined && wish === "on") {
    return noFor(failed);
  }
  if (power.state === "Running" || (isLeaving(observed, power) && answers(observed, power))) {
    return yes("PortAnswers", "the VM's gRPC port answers");
  }
  if (healthOf(observed.satellite.status)?.trouble === "MachineLost") {
    return unknown("Relaunching", "a new machine takes the place of the lost one");
  }
  return power.state === "Off" && wish === "off" && shown?.status === "False"
    ? unknown("Asleep", "it is asleep; what was wrong with it when it ran shows at its next wake")
    : undefined;
}
