import type { Action } from "./action.ts";
import type { Observation } from "./observation.ts";
import type { OperatorSettings } from "./settings.ts";
import { wakeTimes } from "./wake-schedule.ts";

/** The wish to wake when a scheduled time has come. */
export function scheduledWake(o: Observation): Action | undefined {
  const { desiredPower } = o.satellite.spec;
  return desiredPower === "off" && wakeTimes(o.satellite, o.now).due ? { kind: "DesireOn" } : undefined;
}

/** Asleep and not wanted: until the next scheduled time at the latest. */
export function waitForSchedule(o: Observation, settings: OperatorSettings, reason: string): Action {
  const { nextMs } = wakeTimes(o.satellite, o.now);
  const afterMs = Math.min(settings.resyncMs, nextMs - o.now.getTime());
  return scheduledWake(o) ?? { kind: "Wait", afterMs, reason };
}
