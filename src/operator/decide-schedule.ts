import type { Action } from "./action.ts";
import type { Observation } from "./observation.ts";
import type { OperatorSettings } from "./settings.ts";
import { wakeTimes } from "./wake-schedule.ts";

/** The wish to wake when a scheduled time has come. */
export function scheduledWake(observed: Observation): Action | undefined {
  const { desiredPower } = observed.satellite.spec;
  return desiredPower === "off" && wakeTimes(observed.satellite, observed.now).due
    ? { kind: "DesireOn" }
    : undefined;
}

/** Asleep and not wanted: until the next scheduled time at the latest. */
export function waitForSchedule(observed: Observation, settings: OperatorSettings, reason: string): Action {
  const { nextMs } = wakeTimes(observed.satellite, observed.now);
  const afterMs = Math.min(settings.resyncMs, nextMs - observed.now.getTime());
  return scheduledWake(observed) ?? { kind: "Wait", afterMs, reason };
}
