import { Tag } from "../machines/tags.ts";
import { PowerReason } from "../satellite/power.ts";
import { FINALIZER } from "../satellite/resource.ts";
import type { Action } from "./action.ts";
import { launchIsUnsettled, settleLaunch } from "./decide-launch.ts";
import { drainingMs } from "./stop-intent.ts";
import { waitingForRetry } from "./failures.ts";
import type { Observation } from "./observation.ts";
import { movePower, renderStatus } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";

/**
 * Takes the machine down, or lets go of it, before the finalizer goes. A launch whose outcome is unknown is
 * settled first: sending the same request again is the only proof of what came of it.
 */
export function decideDeletion(o: Observation, settings: OperatorSettings): Action {
  const { satellite, machine, memory } = o;
  const { status } = satellite;
  if (satellite.metadata.finalizers?.includes(FINALIZER) !== true) {
    return { kind: "Wait", afterMs: settings.resyncMs, reason: "NotOurs" };
  }
  if (status.machine === undefined) {
    if (launchIsUnsettled(o)) {
      return settleLaunch(o);
    }
    if (!o.listed) {
      return waitingForRetry(o, "ListMachines") ?? { kind: "ListMachines" };
    }
    return o.stray === undefined
      ? { kind: "RemoveFinalizer" }
      : { kind: "WriteStatus", status: renderStatus(o, { machine: { id: o.stray.id } }) };
  }
  if (machine === undefined) {
    return decideUnknownMachine(o, settings);
  }
  if (machine.state === "terminated") {
    return { kind: "RemoveFinalizer" };
  }
  if (satellite.spec.deletionPolicy === "Retain") {
    return memory.retained === true || machine.tags[Tag.retained] === "true"
      ? { kind: "RemoveFinalizer" }
      : (waitingForRetry(o, "Retain") ?? { kind: "Retain", id: machine.id });
  }
  if (status.power.state !== "Stopping" || status.power.reason !== PowerReason.Deleting) {
    return writeDeletionIntent(o);
  }
  const leftMs = drainingMs(o);
  if (leftMs > 0 && machine.state === "running") {
    return { kind: "Wait", afterMs: leftMs, reason: "Draining" };
  }
  const sentAtMs = memory.terminateAtMs;
  if (
    machine.state === "shutting-down" ||
    (sentAtMs !== undefined && o.nowMs - sentAtMs < settings.settleMs)
  ) {
    return { kind: "Wait", afterMs: settings.transitionPollMs, reason: "Terminating" };
  }
  return waitingForRetry(o, "Terminate") ?? { kind: "Terminate", id: machine.id };
}

function writeDeletionIntent(o: Observation): Action {
  return {
    kind: "WriteStatus",
    status: renderStatus(o, {
      power: movePower(o, "Stopping", PowerReason.Deleting),
    }),
    announce: { type: "Normal", reason: "Deleting", message: "terminating the machine" },
  };
}

/** An ID that EC2 does not know may be too new to be known; only time tells. */
function decideUnknownMachine(o: Observation, settings: OperatorSettings): Action {
  const launchedAt = Date.parse(o.satellite.status.machine?.launchedAt ?? "");
  const ageMs = Number.isNaN(launchedAt) ? Infinity : o.now.getTime() - launchedAt;
  return ageMs > settings.unknownInstanceMs || o.memory.terminateAtMs !== undefined
    ? { kind: "RemoveFinalizer" }
    : { kind: "Wait", afterMs: 2000, reason: "InstanceNotVisibleYet" };
}
