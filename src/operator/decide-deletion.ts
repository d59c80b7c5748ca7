import type { Machine } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";
import { PowerReason } from "../satellite/power.ts";
import { Annotation, FINALIZER } from "../satellite/resource.ts";
import type { Action } from "./action.ts";
import { launchIsUnsettled, settleLaunch } from "./decide-launch.ts";
import { isGone, missingPollMs } from "./absence.ts";
import { isLost, isOurs, settleUnwantedVolume, volumeRefusal } from "./data-volume.ts";
import { remove, settleReplacement } from "./decide-update.ts";
import { drainingMs, mayHibernate } from "./stop-intent.ts";
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
    return decideUnknownMachine(o, status.machine.id, settings);
  }
  if (machine.state === "terminated") {
    return finish(o, settings);
  }
  const isKept = satellite.spec.deletionPolicy === "Retain";
  if (isKept && (mayRunOn(o) || machine.state === "stopped" || machine.state === "stopping")) {
    return retain(o, machine, settings);
  }
  if (status.power.state !== "Stopping" || status.power.reason !== PowerReason.Deleting) {
    return writeDeletionIntent(o, isKept ? "stopping the machine, which is kept" : "terminating the machine");
  }
  const leftMs = drainingMs(o);
  if (leftMs > 0 && machine.state === "running") {
    return { kind: "Wait", afterMs: leftMs, reason: "Draining" };
  }
  return isKept
    ? stopKept(o, machine, settings)
    : (remove(o, machine.id, machine, settings) ?? finish(o, settings));
}

/**
 * Whether a machine that is kept goes on running. The class's limit of machines that are awake would not see it any more,
 * so that it may not where there is one.
 */
function mayRunOn({ satellite: { metadata }, satelliteClass }: Observation): boolean {
  const isWished = metadata.annotations?.[Annotation.retainRunning] === "true";
  return isWished && satelliteClass !== undefined && satelliteClass.spec.maxAwake === undefined;
}

/** Stops a machine that is kept: whoever wants it to run pays for it by hand. */
function stopKept(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { stop } = o.memory.calls;
  const failure = o.memory.failures.last;
  const isSent = stop?.epoch === o.satellite.status.power.epoch && o.nowMs - stop.atMs < settings.settleMs;
  if (machine.state !== "running" || isSent) {
    return { kind: "Wait", afterMs: settings.transitionPollMs, reason: "Stopping" };
  }
  const cannotHibernate = failure?.action === "Stop" && failure.class.startsWith("hibernation");
  const hibernate = mayHibernate(o) && !cannotHibernate;
  return (
    (cannotHibernate ? undefined : waitingForRetry(o, "Stop")) ?? {
      kind: "Stop",
      id: machine.id,
      hibernate,
      force: false,
    }
  );
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
  return removals(o, settings).find((step) => step.kind !== "Wait");
}

/** What is left to do for the machines beside the one in use. */
function removals(o: Observation, settings: OperatorSettings): Action[] {
  const { replacement, retired } = o.satellite.status;
  return [
    remove(o, replacement?.machine?.id, o.replacement, settings),
    remove(o, retired?.id, o.retired, settings),
  ].filter((step) => step !== undefined);
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
  const id = [volume?.id, machine?.id].find(
    (one) => one !== undefined && o.memory.ownership.retained?.includes(one) !== true,
  );
  return id === undefined || machine?.tags[Tag.retained] === "true"
    ? { kind: "RemoveFinalizer" }
    : (waitingForRetry(o, "Retain") ?? { kind: "Retain", id });
}

/** No machine is left, or soon none will be: then the volume goes, and then the satellite. */
function finish(o: Observation, settings: OperatorSettings): Action {
  const { satellite, memory, volume } = o;
  const wait = (reason: string): Action => ({
    kind: "Wait",
    afterMs: transitionPollMs(o, settings.transitionPollMs),
    reason,
  });
  if (removals(o, settings).length > 0) {
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
  if (memory.volume.deleted === intent.id || (volume !== undefined && isLost(o, settings))) {
    return { kind: "RemoveFinalizer" };
  }
  const holder = volume?.attachment?.machine;
  // One that is not seen is deleted all the same: the call itself says whether there is one.
  const isTooNew =
    volume === undefined && o.now.getTime() - Date.parse(intent.createdAt ?? "") < settings.unknownInstanceMs;
  if (isTooNew || volume?.state === "creating" || (holder !== undefined && isOurs(o, holder))) {
    return wait("VolumeInUse");
  }
  return waitingForRetry(o, "DeleteVolume") ?? { kind: "DeleteVolume", id: intent.id };
}

function writeDeletionIntent(o: Observation, message: string): Action {
  return {
    kind: "WriteStatus",
    status: renderStatus(o, {
      power: movePower(o, "Stopping", PowerReason.Deleting),
    }),
    announce: { type: "Normal", reason: "Deleting", message },
  };
}

/** An ID that EC2 does not show is no proof that there is no machine; that its termination was accepted is one. */
function decideUnknownMachine(o: Observation, id: string, settings: OperatorSettings): Action {
  return o.memory.calls.terminated?.[id] !== undefined || isGone(o, id, settings)
    ? finish(o, settings)
    : { kind: "Wait", afterMs: missingPollMs(o, id), reason: "InstanceNotVisible" };
}
