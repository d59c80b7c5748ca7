import type { Power } from "../satellite/resource.ts";
import type { Action, Announcement } from "./action.ts";
import { healthField } from "./health.ts";
import type { AcceptedCall } from "./memory/accepted-calls.ts";
import type { Observation } from "./observation.ts";
import { healthOf } from "./older-status.ts";
import { type StatusChange, renderStatus } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";

/**
 * Whether a call of this epoch was accepted so recently that descriptions may not show it yet. After a restart of the
 * operator the time of the written intent is taken for that of the call.
 */
export function isSettling(
  observed: Observation,
  call: AcceptedCall | undefined,
  settings: OperatorSettings,
): boolean {
  const { power } = observed.satellite.status;
  if (call?.epoch === power.epoch) {
    return observed.nowMs - call.atMs < settings.settleMs;
  }
  return power.accepted && observed.now.getTime() - Date.parse(power.since ?? "") < settings.settleMs;
}

/** Whether people were told that the machine is stuck. */
export function isStuck({ satellite }: Observation): boolean {
  return healthOf(satellite.status)?.trouble === "Stuck";
}

/** Says that the machine is stuck, once, before anything is done about it. */
export function reportStuck(observed: Observation, message: string): Action {
  return writePower(
    observed,
    observed.satellite.status.power,
    { health: healthField("Stuck", message) },
    { type: "Warning", reason: "Stuck", message },
  );
}

/** Writes `status.power`, and what changes with it. */
export function writePower(
  observed: Observation,
  power: Power,
  change: StatusChange = {},
  announce?: Announcement,
): Action {
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, { ...change, power }),
    ...(announce === undefined ? {} : { announce }),
  };
}
