import { timestamp } from "../satellite/conditions.ts";
import { nextEpoch, type PowerReason } from "../satellite/power.ts";
import type { Action } from "./action.ts";
import type { Observation } from "./observation.ts";
import { secondsOf } from "./usage.ts";
import { renderStatus } from "./render-status.ts";

/**
 * Writes the intent to start before any call. It begins the next epoch.
 *
 * @param accepted whether the machine runs already
 */
export function beginStart(observed: Observation, reason: PowerReason, accepted = false): Action {
  const { power, usage, sleep } = observed.satellite.status;
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, {
      power: nextEpoch(power, { reason, accepted, since: timestamp(observed.now) }),
      usage: { ...usage, asleepSeconds: (usage?.asleepSeconds ?? 0) + secondsOf(observed, sleep?.since) },
    }),
    announce: {
      type: "Normal",
      reason: "Waking",
      message:
        sleep === undefined ? "starting the machine" : `waking the machine (${sleep.kind.toLowerCase()})`,
    },
  };
}
