import type { Machine } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";
import { PowerReason } from "../satellite/power.ts";
import { FINALIZER } from "../satellite/resource.ts";
import type { Action } from "./action.ts";
import { launchIsUnsettled, settleLaunch } from "./decide-launch.ts";
import { isLost, isOurs, settleUnwantedVolume, volumeRefusal } from "./data-volume.ts";
import { remove, settleReplacement } from "./decide-update.ts";
import { drainingMs } from "./stop-intent.ts";
import { waitingForRetry } from "./failures.ts";
import type { Observation } from "./observation.ts";
import { movePower, renderStatus } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { transitionPollMs } from "./waiting.ts";

/**
 * Takes the machine down, or lets go of it, before the finalizer goes. A launch whose outcome is unknown is
 * settled first: by sending the same request again, or by searches for its token (decide-search.ts).
 */
export function decideDeletion(o: Observation, settings: OperatorSettings): Action {
  const { satellite, machine } = o;
  const { status } = satellite;
  if (satellite.metadata.finalizers?.includes(FINALIZER) !== true) {
    return { kind: "Wait", afterMs: settings.resyncMs, reason: "NotOurs" };
  }
  const rest = removeOthers(o, settings);
  if (rest !== undefined) {
    return rest;
  }
  if (status.machine === undefined) {
    if (launchIsUnsettled(o)) {
      const step = settleLaunch(o, settings);
      return step.kind === "RemoveFinalizer" ? finish(o, settings) : step;
    }
    if (!o.listed) {
      return waitingForRetry(o, "ListMachines") ?? { kind: "ListMachines" };
    }
    return o.stray === undefined
      ? finish(o, settings)
      : { kind: "WriteStatus", status: renderStatus(o, { machine: { id: o.stray.id } }) };
  }
  if (machine === undefined) {
    return decideUnknownMachine(o, settings);
  }
  if (machine.state === "terminated") {
    return finish(o, settings);
  }
  if (satellite.spec.deletionPolicy === "Retain") {
    return retain(o, machine, settings);
  }
  if (status.power.state !== "Stopping" || status.power.reason !== PowerReason.Deleting) {
    return writeDeletionIntent(o);
  }
  const leftMs = drainingMs(o);
  if (leftMs > 0 && machine.state === "running") {
    return { kind: "Wait", afterMs: leftMs, reason: "Draining" };
  }
  return remove(o, machine, settings) ?? finish(o, settings);
}

/**
 * Terminates the machines beside the one in use: one that was to replace it, and one that was replaced. A launch whose
 * outcome is unknown is settled here, too.
 */
function removeOthers(o: Observation, settings: OperatorSettings): Action | undefined {
  const { replacement } = o.satellite.status;
  if (replacement?.state === "Launching" && replacement.machine === undefined) {
    return settleReplacement(o, replacement, settings);
  }
  const steps = [o.replacement, o.retired].map((machine) => remove(o, machine, settings));
  return steps.find((step) => step !== undefined && step.kind !== "Wait");
}

/** Keeps the machine and its volume; the volume first, since nobody would look for it after the machine. */
function retain(o: Observation, machine: Machine | undefined, settings: OperatorSettings): Action {
  const { volume } = o.satellite.status;
  if (volume !== undefined && volume.id === undefined && volumeRefusal(o) === undefined) {
    const step = settleUnwantedVolume(o, settings);
    if (step !== "nothing") {
      return step;
    }
  }
  if (o.memory.retained === true || machine?.tags[Tag.retained] === "true") {
    return { kind: "RemoveFinalizer" };
  }
  const ids = [volume?.id, machine?.id].filter((id) => id !== undefined);
  return ids.length === 0
    ? { kind: "RemoveFinalizer" }
    : (waitingForRetry(o, "Retain") ?? { kind: "Retain", ids });
}

/** No machine is left, or soon none will be: then the volume goes, and then the satellite. */
function finish(o: Observation, settings: OperatorSettings): Action {
  const { satellite, memory, volume } = o;
  const wait = (reason: string): Action => ({
    kind: "Wait",
    afterMs: transitionPollMs(o, settings.transitionPollMs),
    reason,
  });
  const { replacement } = satellite.status;
  const isUnseen =
    replacement?.machine !== undefined &&
    o.replacement === undefined &&
    memory.terminated?.[replacement.machine.id] === undefined &&
    o.now.getTime() - Date.parse(replacement.since) < settings.unknownInstanceMs;
  if (isUnseen) {
    return wait("InstanceNotVisibleYet");
  }
  if ([o.replacement, o.retired].some((machine) => (machine?.state ?? "terminated") !== "terminated")) {
    return wait("Terminating");
  }
  if (satellite.spec.deletionPolicy === "Retain") {
    return retain(o, undefined, settings);
  }
  const intent = satellite.status.volume;
  if (intent === undefined || (intent.id === undefined && volumeRefusal(o) !== undefined)) {
    return { kind: "RemoveFinalizer" };
  }
  if (intent.id === undefined) {
    const step = settleUnwantedVolume(o, settings);
    return step === "nothing" ? { kind: "RemoveFinalizer" } : step;
  }
  if (memory.volumeDeleted === intent.id || isLost(o, settings)) {
    return { kind: "RemoveFinalizer" };
  }
  const holder = volume?.attachment?.machine;
  if (volume === undefined || volume.state === "creating" || (holder !== undefined && isOurs(o, holder))) {
    return wait("VolumeInUse");
  }
  return waitingForRetry(o, "DeleteVolume") ?? { kind: "DeleteVolume", id: intent.id };
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
  const isSent = o.memory.terminated?.[o.satellite.status.machine?.id ?? ""] !== undefined;
  return ageMs > settings.unknownInstanceMs || isSent
    ? finish(o, settings)
    : { kind: "Wait", afterMs: 2000, reason: "InstanceNotVisibleYet" };
}
