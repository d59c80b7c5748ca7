import { parseDurationMs } from "../base/duration.ts";
import type { Machine } from "../machines/cloud.ts";
import { findCondition } from "../satellite/conditions.ts";
import { PowerReason } from "../satellite/power.ts";
import type { Action, StopReason } from "./action.ts";
import type { Observation } from "./observation.ts";
import { HIBERNATION_REFUSED, movePower, renderStatus, secondsSince } from "./render-status.ts";
import { pendingSize } from "./size.ts";
import type { OperatorSettings } from "./settings.ts";

/** `status.power.state` is Running: watch for the wish to sleep, for idleness and for drift. */
export function decideRunning(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  if (machine.state === "stopping" || machine.state === "stopped") {
    return decideContradicted(o, machine, settings);
  }
  if (o.satellite.spec.desiredPower === "off") {
    return beginStop(o);
  }
  const { remainingMs, staleRouters } = o.idleness;
  const [router] = staleRouters;
  if (router !== undefined) {
    return { kind: "PruneRouter", router };
  }
  if (remainingMs > 0) {
    return { kind: "Wait", afterMs: Math.min(remainingMs, settings.resyncMs), reason: "InUse" };
  }
  return decideIdle(o, settings);
}

/** The machine stopped without us, or the description is older than its last start. */
function decideContradicted(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  const sinceMs = o.memory.contradictedSinceMs;
  const runningMs = o.now.getTime() - Date.parse(o.satellite.status.power.since ?? "");
  const isYoung = runningMs < settings.settleMs || sinceMs === undefined;
  if (isYoung || o.nowMs - sinceMs < settings.settleMs / 2) {
    return { kind: "Wait", afterMs: settings.transitionPollMs, reason: "MachineStateContradicts" };
  }
  return {
    kind: "WriteStatus",
    status: renderStatus(o, {
      power: movePower(o, "Off", PowerReason.Drift),
    }),
    announce: {
      type: "Warning",
      reason: "MachineStoppedOutside",
      message: `machine ${machine.id} is ${machine.state}, and it was not the operator who stopped it`,
    },
  };
}

/** No router has used it for long enough; the guest is asked before the wish to sleep is written. */
function decideIdle(o: Observation, settings: OperatorSettings): Action {
  const { endpoint, power } = o.satellite.status;
  const { probe, guestBusySinceMs } = o.memory;
  const fresh =
    probe !== undefined && probe.epoch === power.epoch && o.nowMs - probe.atMs < settings.guestPollMs;
  if (!fresh && endpoint !== undefined) {
    return { kind: "Probe", host: endpoint.host, port: endpoint.port };
  }
  const busyMs = guestBusySinceMs === undefined ? 0 : o.nowMs - guestBusySinceMs;
  if (probe !== undefined && probe.runningWork > 0 && busyMs < settings.guestBusyMaxMs) {
    return { kind: "Wait", afterMs: settings.guestPollMs, reason: "GuestBusy" };
  }
  return { kind: "DesireOff" };
}

/**
 * Writes the intent to stop, before any call. Leases that may still be counted on make it a drain: from this
 * write on no lease can be taken, and the call waits until the routers have let go.
 */
export function beginStop(o: Observation, why: StopReason = PowerReason.DesiredOff): Action {
  const { power, usage } = o.satellite.status;
  const ran = power.state === "Running" ? secondsSince(o, power.since) : 0;
  const draining = why === PowerReason.DesiredOff && o.idleness.liveLeases.length > 0;
  const reason = draining ? PowerReason.Draining : why;
  const hibernate = mayHibernate(o);
  return {
    kind: "WriteStatus",
    status: renderStatus(o, {
      power: movePower(o, "Stopping", reason, { sleepKind: hibernate ? "Hibernate" : "Stop" }),
      usage: { ...usage, runningSeconds: (usage?.runningSeconds ?? 0) + ran },
    }),
    announce: {
      type: "Normal",
      reason: draining ? "Draining" : "Sleeping",
      message: draining
        ? `waiting up to ${o.satellite.spec.drainTimeout} for open streams`
        : `putting the machine to sleep (${hibernate ? "hibernate" : "stop"})`,
    },
  };
}

function mayHibernate(o: Observation): boolean {
  const refused =
    findCondition(o.satellite.status.conditions, "Hibernatable")?.reason === HIBERNATION_REFUSED;
  return (
    o.satellite.spec.sleepMode === "Hibernate" &&
    o.machine?.hibernationConfigured === true &&
    !refused &&
    pendingSize(o) === undefined
  );
}

/**
 * Milliseconds until the call may be sent: the routers whose leases may still be counted on have until
 * drainTimeout to let go of this epoch (docs/decisions/0017). 0 when they have.
 */
export function drainingMs(o: Observation): number {
  const { power } = o.satellite.status;
  if (o.idleness.liveLeases.every((lease) => lease.drainedEpoch === power.epoch)) {
    return 0;
  }
  const untilMs = Date.parse(power.since ?? "") + parseDurationMs(o.satellite.spec.drainTimeout);
  return Math.max(0, untilMs - o.now.getTime());
}
