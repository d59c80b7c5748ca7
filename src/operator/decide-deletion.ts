import type { Machine } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";
import { PowerReason } from "../satellite/power.ts";
import { Annotation, FINALIZER } from "../satellite/resource.ts";
import type { Action } from "./action.ts";
import { launchIsUnsettled, settleLaunch, waitingForStrayVolume } from "./decide-launch.ts";
import { isGone, missingPollMs } from "./absence.ts";
import { isLost, isOurs, settleUnwantedVolume, volumeRefusal } from "./data-volume.ts";
import { settleReplacement, terminate } from "./decide-update.ts";
import { takenVolume } from "./ownership.ts";
import { drainingMs, mayHibernate } from "./stop-intent.ts";
import { waitingForRetry } from "./failures.ts";
import type { Observation } from "./observation.ts";
import { movePower, renderStatus } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { NOT_VISIBLE, transitionPollMs } from "./waiting.ts";

/**
 * Terminates the machine, or tags it as kept, before the finalizer is removed. A launch whose outcome is unknown is
 * settled first: by sending the same request again, or by searches for its token (decide-search.ts).
 */
export function decideDeletion(observed: Observation, settings: OperatorSettings): Action {
  const { satellite, machine } = observed;
  const { status } = satellite;
  if (satellite.metadata.finalizers?.includes(FINALIZER) !== true) {
    return { kind: "Wait", afterMs: settings.resyncMs, reason: "NotOurs" };
  }
  const rest = removeOthers(observed, settings);
  if (rest !== undefined) {
    return rest;
  }
  if (status.machine === undefined) {
    if (launchIsUnsettled(observed)) {
      const step = settleLaunch(observed, settings);
      return step.kind === "RemoveFinalizer" ? finish(observed, settings) : step;
    }
    if (!observed.listed) {
      return waitingForRetry(observed, "ListMachines") ?? { kind: "ListMachines" };
    }
    return observed.stray === undefined
      ? finish(observed, settings)
      : nameStray(observed, observed.stray, settings);
  }
  if (machine === undefined) {
    return decideUnknownMachine(observed, status.machine.id, settings);
  }
  if (machine.state === "terminated") {
    return finish(observed, settings);
  }
  const isKept = satellite.spec.deletionPolicy === "Retain";
  if (isKept && (mayRunOn(observed) || isDown(observed, machine, settings))) {
    return retain(observed, machine, settings);
  }
  if (status.power.state !== "Stopping" || status.power.reason !== PowerReason.Deleting) {
    return writeDeletionIntent(
      observed,
      isKept ? "stopping the machine, which is kept" : "terminating the machine",
    );
  }
  const leftMs = drainingMs(observed);
  if (leftMs > 0 && machine.state === "running") {
    return { kind: "Wait", afterMs: leftMs, reason: "Draining" };
  }
  return isKept
    ? stopKept(observed, machine, settings)
    : (terminate(observed, machine.id, machine, settings) ?? finish(observed, settings));
}

/** The status was lost: names the machine and its data volume, so that they go with the satellite, or are kept. */
function nameStray(observed: Observation, { id }: Machine, settings: OperatorSettings): Action {
  const volume = takenVolume(observed, observed.strayVolume);
  const change = { machine: { id }, ...(volume === undefined ? {} : { volume }) };
  return (
    waitingForStrayVolume(observed, settings) ?? {
      kind: "WriteStatus",
      status: renderStatus(observed, change),
    }
  );
}

/**
 * Whether a machine that is kept may go on running: only where the class does not limit how many are awake, since the limit
 * would not see it any more.
 */
function mayRunOn({ satellite: { metadata }, satelliteClass }: Observation): boolean {
  const isWished = metadata.annotations?.[Annotation.retainRunning] === "true";
  return isWished && satelliteClass !== undefined && satelliteClass.spec.maxAwake === undefined;
}

/**
 * Whether the machine is down, or on its way there. Where nobody here has stopped it, a description that says so may be older
 * than its last start, and is believed only after a while.
 */
function isDown(
  { satellite, memory, now }: Observation,
  { state }: Machine,
  settings: OperatorSettings,
): boolean {
  const { power } = satellite.status;
  const isStopped =
    power.state === "Off" ||
    (power.state === "Stopping" && (power.accepted || memory.calls.stop?.epoch === power.epoch));
  const sinceMs = now.getTime() - Date.parse(power.since ?? "");
  return (state === "stopped" || state === "stopping") && (isStopped || sinceMs >= settings.settleMs);
}

/** Stops a machine that is kept; whoever wants it to run starts it by hand. */
function stopKept(observed: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { stop } = observed.memory.calls;
  const failure = observed.memory.failures.last;
  const isSent =
    stop?.epoch === observed.satellite.status.power.epoch && observed.nowMs - stop.atMs < settings.settleMs;
  if (machine.state !== "running" || isSent) {
    return { kind: "Wait", afterMs: settings.transitionPollMs, reason: "Stopping" };
  }
  const cannotHibernate = failure?.action === "Stop" && failure.class.startsWith("hibernation");
  const hibernate = mayHibernate(observed) && !cannotHibernate;
  return (
    (cannotHibernate ? undefined : waitingForRetry(observed, "Stop")) ?? {
      kind: "Stop",
      id: machine.id,
      hibernate,
      force: false,
    }
  );
}

/**
 * Terminates the machines beside the one in use: one that was to replace it, and one that was replaced. Settles a launch of
 * unknown outcome, too.
 */
function removeOthers(observed: Observation, settings: OperatorSettings): Action | undefined {
  const { replacement } = observed.satellite.status;
  if (replacement?.state === "Launching" && replacement.machine === undefined) {
    return settleReplacement(observed, replacement, settings);
  }
  return removals(observed, settings).find((step) => step.kind !== "Wait");
}

/** What is left to do for the machines beside the one in use. */
function removals(observed: Observation, settings: OperatorSettings): Action[] {
  const { replacement, retired } = observed.satellite.status;
  return [
    terminate(observed, replacement?.machine?.id, observed.replacement, settings),
    terminate(observed, retired?.id, observed.retired, settings),
  ].filter((step) => step !== undefined);
}

/** Tags the volume and then the machine as kept. The volume comes first: once the machine is tagged, nothing looks for it. */
function retain(observed: Observation, machine: Machine | undefined, settings: OperatorSettings): Action {
  const { volume } = observed.satellite.status;
  if (volume !== undefined && volume.id === undefined && volumeRefusal(observed) === undefined) {
    const step = settleUnwantedVolume(observed, settings);
    if (step !== "nothing") {
      return step;
    }
  }
  const id = [volume?.id, machine?.id].find(
    (one) => one !== undefined && observed.memory.ownership.retained?.includes(one) !== true,
  );
  return id === undefined || machine?.tags[Tag.retained] === "true"
    ? { kind: "RemoveFinalizer" }
    : (waitingForRetry(observed, "Retain") ?? { kind: "Retain", id });
}

/** The machine is gone or about to be: waits for that, then deletes the volume, then lets the satellite go. */
function finish(observed: Observation, settings: OperatorSettings): Action {
  const { satellite, memory, volume } = observed;
  const wait = (reason: string): Action => ({
    kind: "Wait",
    afterMs: transitionPollMs(observed, settings.transitionPollMs),
    reason,
  });
  if (removals(observed, settings).length > 0) {
    return wait("Terminating");
  }
  if (satellite.spec.deletionPolicy === "Retain") {
    return retain(observed, undefined, settings);
  }
  const intent = satellite.status.volume;
  if (intent === undefined || (intent.id === undefined && volumeRefusal(observed) !== undefined)) {
    return { kind: "RemoveFinalizer" };
  }
  if (intent.id === undefined) {
    const step = settleUnwantedVolume(observed, settings);
    return step === "nothing" ? { kind: "RemoveFinalizer" } : step;
  }
  if (memory.volume.deleted === intent.id || (volume !== undefined && isLost(observed, settings))) {
    return { kind: "RemoveFinalizer" };
  }
  const holder = volume?.attachment?.machine;
  // A volume that reads do not show is deleted all the same: the call itself says whether there is one.
  const isTooNew =
    volume === undefined &&
    observed.now.getTime() - Date.parse(intent.createdAt ?? "") < settings.unknownMachineMs;
  if (isTooNew || volume?.state === "creating" || (holder !== undefined && isOurs(observed, holder))) {
    return wait("VolumeInUse");
  }
  return waitingForRetry(observed, "DeleteVolume") ?? { kind: "DeleteVolume", id: intent.id };
}

function writeDeletionIntent(observed: Observation, message: string): Action {
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, {
      power: movePower(observed, "Stopping", PowerReason.Deleting),
    }),
    announce: { type: "Normal", reason: "Deleting", message },
  };
}

/** That reads do not show a machine is no proof that there is none; that its termination was accepted is one. */
function decideUnknownMachine(observed: Observation, id: string, settings: OperatorSettings): Action {
  return observed.memory.calls.terminated?.[id] !== undefined || isGone(observed, id, settings)
    ? finish(observed, settings)
    : { kind: "Wait", afterMs: missingPollMs(observed, id), reason: NOT_VISIBLE };
}
