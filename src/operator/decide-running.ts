import type { Machine } from "../machines/cloud.ts";
import { PowerReason } from "../satellite/power.ts";
import type { Action } from "./action.ts";
import { endedAttempt } from "./attempts.ts";
import { decideRecovery, silentMs, silentPollMs } from "./decide-recovery.ts";
import { readLastWords } from "./guest-words.ts";
import type { Observation } from "./observation.ts";
import { movePower, renderStatus } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { decideScheduledEvent } from "./decide-scheduled-event.ts";
import { beginStop } from "./stop-intent.ts";
import { needsKey, probeAction, withLearnedKey } from "./vm-key.ts";

/** `status.power.state` is Running: watch for the wish to sleep, for idleness and for drift. */
export function decideRunning(observed: Observation, machine: Machine, settings: OperatorSettings): Action {
  if (machine.state === "stopping" || machine.state === "stopped") {
    return decideContradicted(observed, machine, settings);
  }
  if (observed.satellite.spec.desiredPower === "off") {
    return beginStop(observed);
  }
  const avoidance = decideScheduledEvent(observed);
  if (avoidance !== undefined) {
    return avoidance;
  }
  if (observed.idleness.remainingMs > 0) {
    return decideAwake(observed, machine, settings);
  }
  return decideIdle(observed, settings);
}

/**
 * It is to stay awake. Routers notice at once when a machine in use does not answer. The port of one that nobody uses is
 * looked at now and then, so that the next request does not meet a dead one.
 */
function decideAwake(observed: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { idleness, memory, satellite } = observed;
  const { endpoint, power } = satellite.status;
  const waitMs = Math.min(idleness.remainingMs, settings.resyncMs);
  const isUnknown = endpoint !== undefined && needsKey(endpoint);
  if (endpoint === undefined || (idleness.liveLeases.length > 0 && !isUnknown)) {
    return { kind: "Wait", afterMs: waitMs, reason: "InUse" };
  }
  const learned = withLearnedKey(observed, endpoint);
  if (learned !== undefined) {
    return { kind: "WriteStatus", status: renderStatus(observed, { endpoint: learned }) };
  }
  const recovery =
    readLastWords(observed, machine, silentMs(observed), settings) ??
    decideRecovery(observed, machine, settings);
  if (recovery !== undefined) {
    return recovery;
  }
  const everyMs =
    silentMs(observed) > 0 || isUnknown ? silentPollMs(observed, settings) : settings.healthPollMs;
  const seenAtMs = memory.port.probe?.epoch === power.epoch ? memory.port.probe.atMs : -Infinity;
  const dueMs = seenAtMs + everyMs - observed.nowMs;
  return dueMs > 0
    ? { kind: "Wait", afterMs: Math.min(waitMs, dueMs), reason: "InUse" }
    : probeAction(observed, endpoint);
}

/** The machine was stopped by somebody else, or the description is older than its last start. */
function decideContradicted(observed: Observation, machine: Machine, settings: OperatorSettings): Action {
  const sinceMs = observed.memory.sightings.contradictedSinceMs;
  const runningMs = observed.now.getTime() - Date.parse(observed.satellite.status.power.since ?? "");
  const isYoung = runningMs < settings.settleMs || sinceMs === undefined;
  if (isYoung || observed.nowMs - sinceMs < settings.settleMs / 2) {
    return { kind: "Wait", afterMs: settings.transitionPollMs, reason: "MachineStateContradicts" };
  }
  const { code, message, advice } = machine.stateReason ?? { code: "no reason", message: "", advice: "" };
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, {
      power: movePower(observed, "Off", PowerReason.Drift),
      attempts: endedAttempt(observed, machine),
    }),
    announce: {
      type: "Warning",
      reason: "MachineStoppedOutside",
      message:
        `machine ${machine.id} is ${machine.state}, and it was not the operator who stopped it; ` +
        `${observed.cloud.words.name} says ` +
        [code, message, advice].filter((part) => part !== "").join(": "),
    },
  };
}

/** No router has used it for its idleTimeout. The guest is asked whether it works before the wish to sleep is written. */
function decideIdle(observed: Observation, settings: OperatorSettings): Action {
  const { endpoint, power } = observed.satellite.status;
  const { probe: last, guestBusySinceMs } = observed.memory.port;
  const fresh =
    last !== undefined && last.epoch === power.epoch && observed.nowMs - last.atMs < settings.guestPollMs;
  if (!fresh && endpoint !== undefined) {
    return probeAction(observed, endpoint);
  }
  const busyMs = guestBusySinceMs === undefined ? 0 : observed.nowMs - guestBusySinceMs;
  if (last !== undefined && last.runningWork > 0 && busyMs < settings.guestBusyMaxMs) {
    return { kind: "Wait", afterMs: settings.guestPollMs, reason: "GuestBusy" };
  }
  return { kind: "DesireOff" };
}
