import type { Machine } from "../machines/cloud.ts";
import { PowerReason } from "../satellite/power.ts";
import type { Action } from "./action.ts";
import { endedAttempt } from "./attempts.ts";
import { decideRecovery, silentMs, silentPollMs } from "./decide-recovery.ts";
import type { Observation } from "./observation.ts";
import { movePower, renderStatus } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { decideScheduledEvent } from "./decide-scheduled-event.ts";
import { beginStop } from "./stop-intent.ts";
import { needsKey, probe, withLearnedKey } from "./vm-key.ts";

/** `status.power.state` is Running: watch for the wish to sleep, for idleness and for drift. */
export function decideRunning(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  if (machine.state === "stopping" || machine.state === "stopped") {
    return decideContradicted(o, machine, settings);
  }
  if (o.satellite.spec.desiredPower === "off") {
    return beginStop(o);
  }
  const avoidance = decideScheduledEvent(o);
  if (avoidance !== undefined) {
    return avoidance;
  }
  if (o.idleness.remainingMs > 0) {
    return decideAwake(o, machine, settings);
  }
  return decideIdle(o, settings);
}

/**
 * It is to stay awake. Routers see at once when a machine in use does not answer; one that nobody uses is looked at
 * now and then, so that it does not fail the next request.
 */
function decideAwake(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { idleness, memory, satellite } = o;
  const { endpoint, power } = satellite.status;
  const waitMs = Math.min(idleness.remainingMs, settings.resyncMs);
  const isUnknown = endpoint !== undefined && needsKey(endpoint);
  if (endpoint === undefined || (idleness.liveLeases.length > 0 && !isUnknown)) {
    return { kind: "Wait", afterMs: waitMs, reason: "InUse" };
  }
  const learned = withLearnedKey(o, endpoint);
  if (learned !== undefined) {
    return { kind: "WriteStatus", status: renderStatus(o, { endpoint: learned }) };
  }
  const recovery = decideRecovery(o, machine, settings);
  if (recovery !== undefined) {
    return recovery;
  }
  const everyMs = silentMs(o) > 0 || isUnknown ? silentPollMs(o, settings) : settings.healthPollMs;
  const seenAtMs = memory.port.probe?.epoch === power.epoch ? memory.port.probe.atMs : -Infinity;
  const dueMs = seenAtMs + everyMs - o.nowMs;
  return dueMs > 0 ? { kind: "Wait", afterMs: Math.min(waitMs, dueMs), reason: "InUse" } : probe(o, endpoint);
}

/** The machine stopped without us, or the description is older than its last start. */
function decideContradicted(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  const sinceMs = o.memory.sightings.contradictedSinceMs;
  const runningMs = o.now.getTime() - Date.parse(o.satellite.status.power.since ?? "");
  const isYoung = runningMs < settings.settleMs || sinceMs === undefined;
  if (isYoung || o.nowMs - sinceMs < settings.settleMs / 2) {
    return { kind: "Wait", afterMs: settings.transitionPollMs, reason: "MachineStateContradicts" };
  }
  const { code, message, advice } = machine.stateReason ?? { code: "no reason", message: "", advice: "" };
  return {
    kind: "WriteStatus",
    status: renderStatus(o, {
      power: movePower(o, "Off", PowerReason.Drift),
      attempts: endedAttempt(o, machine),
    }),
    announce: {
      type: "Warning",
      reason: "MachineStoppedOutside",
      message:
        `machine ${machine.id} is ${machine.state}, and it was not the operator who stopped it; EC2 says ` +
        [code, message, advice].filter((part) => part !== "").join(": "),
    },
  };
}

/** No router has used it for long enough; the guest is asked before the wish to sleep is written. */
function decideIdle(o: Observation, settings: OperatorSettings): Action {
  const { endpoint, power } = o.satellite.status;
  const { probe: last, guestBusySinceMs } = o.memory.port;
  const fresh =
    last !== undefined && last.epoch === power.epoch && o.nowMs - last.atMs < settings.guestPollMs;
  if (!fresh && endpoint !== undefined) {
    return probe(o, endpoint);
  }
  const busyMs = guestBusySinceMs === undefined ? 0 : o.nowMs - guestBusySinceMs;
  if (last !== undefined && last.runningWork > 0 && busyMs < settings.guestBusyMaxMs) {
    return { kind: "Wait", afterMs: settings.guestPollMs, reason: "GuestBusy" };
  }
  return { kind: "DesireOff" };
}
