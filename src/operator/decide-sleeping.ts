import type { Machine } from "../machines/cloud.ts";
import { PowerReason } from "../satellite/power.ts";
import type { Action } from "./action.ts";
import { pausingBetweenAttempts } from "./attempts.ts";
import { waitForSchedule } from "./decide-schedule.ts";
import { applyImage, applyRecovery } from "./decide-update.ts";
import type { Observation } from "./observation.ts";
import type { OperatorSettings } from "./settings.ts";
import { applySize } from "./size.ts";
import { beginStart } from "./start-intent.ts";
import { beginStop } from "./stop-intent.ts";
import { transitionPollMs } from "./waiting.ts";

/** `status.power.state` is Off: starts the machine when it is wanted, and corrects one that runs all the same. */
export function decideSleeping(observed: Observation, machine: Machine, settings: OperatorSettings): Action {
  const wanted = observed.satellite.spec.desiredPower === "on";
  switch (machine.state) {
    case "stopped":
      return (
        applySize(observed, machine, settings) ??
        applyRecovery(observed, machine) ??
        applyImage(observed, machine) ??
        (wanted ? decideWake(observed, settings) : decideAsleep(observed, settings))
      );
    case "running":
    case "pending":
      return wanted ? beginStart(observed, PowerReason.Drift, true) : beginStop(observed, PowerReason.Drift);
    case "stopping":
    case "shutting-down":
    case "terminated":
      return {
        kind: "Wait",
        afterMs: transitionPollMs(observed, settings.transitionPollMs),
        reason: "FallingAsleep",
      };
  }
}

function decideWake(observed: Observation, settings: OperatorSettings): Action {
  return observed.awakeLimit === undefined
    ? (pausingBetweenAttempts(observed) ?? beginStart(observed, PowerReason.Wake))
    : { kind: "Wait", afterMs: settings.quotaPollMs, reason: observed.awakeLimit.reason };
}

function decideAsleep(observed: Observation, settings: OperatorSettings): Action {
  const { sleep } = observed.satellite.status;
  if (sleep?.kind === "Hibernated") {
    const asleepMs = observed.now.getTime() - Date.parse(sleep.since);
    if (asleepMs >= settings.refreshHibernatedMs) {
      return pausingBetweenAttempts(observed) ?? beginStart(observed, PowerReason.Refresh);
    }
  }
  return waitForSchedule(observed, settings, "Asleep");
}
