import type { Machine } from "../machines/cloud.ts";
import { boundedMessage, timestamp } from "../satellite/conditions.ts";
import { nextEpoch, PowerReason } from "../satellite/power.ts";
import type { Replacement } from "../satellite/resource.ts";
import type { Action, ActionKind } from "./action.ts";
import { pausingBetweenAttempts } from "./attempts.ts";
import { attach, giveVolume, isLost } from "./data-volume.ts";
import { refusalOf, searchLaunched, sendLaunch } from "./decide-launch.ts";
import { isGone, missingPollMs } from "./absence.ts";
import { waitingForRetry } from "./failures.ts";
import { isTold, pendingImage } from "./image-update.ts";
import { mayUpdateNow } from "./maintenance-window.ts";
import type { Failure } from "./memory/failures.ts";
import type { Observation } from "./observation.ts";
import { machineStatus, movePower, renderStatus, type StatusChange } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { isHibernated } from "./size.ts";
import { beginStart } from "./start-intent.ts";
import { probeReplacement, readyEndpoint } from "./vm-key.ts";
import { transitionPollMs } from "./waiting.ts";

/** How long a new machine may take until its port answers; routers hold requests for 20 minutes. */
const PATIENCE_MS = 10 * 60_000;

/**
 * Begins to replace a stopped machine whose image is outdated. One that hibernates is started first, to be stopped: its
 * memory belongs to the disks.
 *
 * @returns `undefined` when there is nothing to replace, or not now
 */
export function applyImage(o: Observation, machine: Machine): Action | undefined {
  const wanted = o.satellite.spec.desiredPower === "on";
  const { volume } = o.satellite.status;
  const isAttached = volume?.id === undefined || machine.volumes.includes(volume.id);
  if (
    pendingImage(o) === undefined ||
    !mayUpdateNow(o.satellite, o.now) ||
    (wanted && !isTold(o)) ||
    !isAttached ||
    waitingForRetry(o, "PlanReplacement") !== undefined
  ) {
    return undefined;
  }
  if (isHibernated(o, machine)) {
    return wanted || pausingBetweenAttempts(o) !== undefined ? undefined : beginStart(o, PowerReason.Refresh);
  }
  return planReplacement(o, 0);
}

/** Each plan makes patches void that were decided on the one before. */
function planReplacement(o: Observation, combination: number): Action {
  const { launch, power } = o.satellite.status;
  return {
    kind: "PlanReplacement",
    attempt: (launch?.attempt ?? 0) + 1,
    combination,
    power: {
      ...movePower(o, "Updating", PowerReason.Update),
      fence: power.state === "Updating" ? power.fence + 1 : 0,
    },
  };
}

/**
 * `status.power.state` is Updating: launch a machine beside the one in use, which is stopped, give it the data volume,
 * and use it once its port answers; or go back to the old one. Requests are held meanwhile.
 */
export function decideUpdating(o: Observation, old: Machine | undefined, settings: OperatorSettings): Action {
  const { replacement } = o.satellite.status;
  switch (replacement?.state) {
    case "Launching":
      return replacement.machine === undefined
        ? settleReplacement(o, replacement, settings)
        : (bringUp(o, replacement, settings) ?? replace(o));
    case "Returning":
      return goBack(o, replacement, old, settings);
    case "Failed":
    case undefined:
      return {
        kind: "WriteStatus",
        status: renderStatus(o, { power: movePower(o, "Off", PowerReason.Update) }),
      };
  }
}

/** Sends the planned launch until its outcome is known, as the first launch of a satellite. */
export function settleReplacement(
  o: Observation,
  replacement: Replacement,
  settings: OperatorSettings,
): Action {
  const { memory, satellite } = o;
  const { launch, power } = satellite.status;
  if (memory.launch.machine !== undefined && memory.launch.token === launch?.token) {
    return {
      kind: "WriteStatus",
      status: renderStatus(o, {
        // What an earlier leader decided on the launch as it was must not land after this.
        ...(power.state === "Updating" ? { power: { ...power, accepted: true } } : {}),
        replacement: {
          ...replacement,
          since: timestamp(o.now),
          machine: machineStatus(memory.launch.machine, launch?.size),
        },
      }),
      announce: {
        type: "Normal",
        reason: "Replacing",
        message: `launched ${memory.launch.machine.id} from ${replacement.image}, to replace ${satellite.status.machine?.id ?? "the machine"}`,
      },
    };
  }
  const isDeleting = satellite.metadata.deletionTimestamp !== undefined;
  const refused = refusalOf(o);
  if (refused === undefined) {
    const found = isDeleting ? searchLaunched(o, settings) : undefined;
    return found === "nothing"
      ? { kind: "WriteStatus", status: renderStatus(o, { replacement: undefined }) }
      : (found ?? sendLaunch(o));
  }
  return isDeleting
    ? { kind: "WriteStatus", status: renderStatus(o, { replacement: undefined }) }
    : nextCombination(o, replacement, refused);
}

/** Another type in the same zone while EC2 has no capacity, once around; else the machine stays what it is. */
function nextCombination(o: Observation, replacement: Replacement, refused: Failure): Action {
  if (refused.class === "capacity" && refused.count % (o.memory.launch.combinations ?? 1) !== 0) {
    return planReplacement(o, refused.count);
  }
  return giveUp(o, replacement, refused.reason, refused.message);
}

/** The next step until the new machine has the volume and answers; `undefined` when it does. */
function bringUp(o: Observation, replacement: Replacement, settings: OperatorSettings): Action | undefined {
  const { replacement: machine, now, memory, nowMs } = o;
  const ageMs = now.getTime() - Date.parse(replacement.since);
  if (machine === undefined) {
    return ageMs < settings.unknownInstanceMs
      ? {
          kind: "Wait",
          afterMs: missingPollMs(o, replacement.machine?.id ?? ""),
          reason: "InstanceNotVisible",
        }
      : giveUp(o, replacement, "ReplacementGone", "EC2 does not show the new machine");
  }
  if (machine.state !== "pending" && machine.state !== "running") {
    const { code, message, advice } = machine.stateReason ?? { code: machine.state, message: "", advice: "" };
    const why = [code, message, advice].filter((part) => part !== "").join(": ");
    return giveUp(o, replacement, "ReplacementFailed", `the new machine ${machine.id} ended: ${why}`);
  }
  const failure = memory.failures.last;
  const isOfThis = failure?.attempt === o.satellite.status.launch?.attempt;
  if (failure?.terminal === true && isOfThis && VOLUME_MOVES.has(failure.action)) {
    return giveUp(o, replacement, failure.reason, failure.message);
  }
  const seen =
    memory.port.replacementProbe?.machine === machine.id ? memory.port.replacementProbe : undefined;
  if (ageMs > PATIENCE_MS) {
    const message = `the new machine ${machine.id} did not answer within 10 minutes; look at its console output`;
    const { trouble = { reason: "ReplacementSilent", message } } = seen ?? {};
    return giveUp(o, replacement, trouble.reason, trouble.message);
  }
  if (machine.state === "pending" || machine.address === undefined) {
    return { kind: "Wait", afterMs: transitionPollMs(o, settings.transitionPollMs), reason: "Replacing" };
  }
  if (o.machine?.state === "running" || o.machine?.state === "pending") {
    const message = `machine ${o.machine.id} was started by somebody while it was being replaced`;
    return giveUp(o, replacement, "MachineStartedOutside", message);
  }
  const move = moveVolume(o, machine, settings);
  if (move !== undefined) {
    return move;
  }
  if (readyEndpoint(o, machine) !== undefined) {
    return undefined;
  }
  if (seen !== undefined && nowMs - seen.atMs < settings.probePollMs) {
    return { kind: "Wait", afterMs: seen.atMs + settings.probePollMs - nowMs, reason: "Replacing" };
  }
  return probeReplacement(o, machine);
}

/** Steps without which the new machine is of no use. */
const VOLUME_MOVES: ReadonlySet<string> = new Set<ActionKind>([
  "CreateVolume",
  "AttachVolume",
  "DetachVolume",
]);

/** Takes the volume from the old machine, which is stopped, and gives it to the new one. */
function moveVolume(o: Observation, machine: Machine, settings: OperatorSettings): Action | undefined {
  const { volume, satellite } = o;
  const { id } = satellite.status.volume ?? {};
  const holder = volume?.attachment;
  const old = satellite.status.machine?.id;
  if (id === undefined || holder === undefined || holder.machine !== old || machine.volumes.includes(id)) {
    return giveVolume(o, machine, settings);
  }
  // One that is not shown may run: nobody pulls a disk from under it.
  if (o.machine === undefined) {
    return { kind: "Wait", afterMs: missingPollMs(o, holder.machine), reason: "InstanceNotVisible" };
  }
  const { detached } = o.memory.volume;
  const isSent = detached?.volume === id && o.nowMs - detached.atMs < settings.settleMs;
  return isSent || holder.state === "detaching" || holder.state === "busy"
    ? { kind: "Wait", afterMs: transitionPollMs(o, settings.transitionPollMs), reason: "Detaching" }
    : (waitingForRetry(o, "DetachVolume") ?? { kind: "DetachVolume", id, machine: holder.machine });
}

/** The new machine answers: it is the one in use from now on, known by its own key, and the old one may go. */
function replace(o: Observation): Action {
  const { satellite, replacement: machine } = o;
  const { power, replacement, machine: old } = satellite.status;
  return {
    kind: "WriteStatus",
    status: renderStatus(o, {
      power: nextEpoch(power, { reason: PowerReason.Update, accepted: true, since: timestamp(o.now) }),
      machine: replacement?.machine,
      endpoint: machine === undefined ? undefined : readyEndpoint(o, machine),
      sleep: undefined,
      replacement: undefined,
      ...(old === undefined ? {} : { retired: { id: old.id, since: timestamp(o.now) } }),
    }),
    announce: {
      type: "Normal",
      reason: "Replaced",
      message: `${machine?.id ?? "another machine"} (${replacement?.image ?? "new image"}) has replaced ${old?.id ?? "the old one"}`,
    },
  };
}

function giveUp(o: Observation, { image, machine }: Replacement, reason: string, message: string): Action {
  const returning: Replacement = {
    state: "Returning",
    image,
    since: timestamp(o.now),
    reason,
    message: boundedMessage(message),
    ...(machine === undefined ? {} : { machine }),
  };
  return {
    kind: "WriteStatus",
    status: renderStatus(o, { replacement: returning }),
    announce: {
      type: "Warning",
      reason,
      message: `the machine keeps its image, ${image} could not replace it: ${message}`,
    },
  };
}

/** Terminates the new machine, so that it lets go of the volume, and gives that back to the old one. */
function goBack(
  o: Observation,
  replacement: Replacement,
  old: Machine | undefined,
  settings: OperatorSettings,
): Action {
  const removal = remove(o, replacement.machine?.id, o.replacement, settings);
  if (removal !== undefined) {
    return removal;
  }
  const { id } = o.satellite.status.volume ?? {};
  const isAlive = old !== undefined && old.state !== "terminated" && old.state !== "shutting-down";
  if (id !== undefined && isAlive && !old.volumes.includes(id) && !isLost(o, settings)) {
    return attach(o, id, old, settings);
  }
  const { machine: _new, ...rest } = replacement;
  const change: StatusChange = {
    power: movePower(o, "Off", PowerReason.Update),
    replacement: { ...rest, state: "Failed", since: timestamp(o.now) },
  };
  return { kind: "WriteStatus", status: renderStatus(o, change) };
}

/**
 * The next step until a machine that nobody uses is terminated; `undefined` when it is, or is proved not to be there.
 * Other machines' terminations do not count for it.
 *
 * @param id as the status names it; `undefined`: it names none
 */
export function remove(
  o: Observation,
  id: string | undefined,
  machine: Machine | undefined,
  settings: OperatorSettings,
): Action | undefined {
  if (id === undefined || machine?.state === "terminated") {
    return undefined;
  }
  const sentAtMs = o.memory.calls.terminated?.[id];
  if (machine === undefined) {
    return sentAtMs !== undefined || isGone(o, id, settings)
      ? undefined
      : { kind: "Wait", afterMs: missingPollMs(o, id), reason: "InstanceNotVisible" };
  }
  const isSent = sentAtMs !== undefined && o.nowMs - sentAtMs < settings.settleMs;
  return machine.state === "shutting-down" || isSent
    ? { kind: "Wait", afterMs: transitionPollMs(o, settings.transitionPollMs), reason: "Terminating" }
    : (waitingForRetry(o, "Terminate") ?? { kind: "Terminate", id: machine.id });
}

/** Terminates the machine that was replaced, beside everything else; a wait for it holds nothing up. */
export function retire(o: Observation, settings: OperatorSettings): Action | undefined {
  const { retired } = o.satellite.status;
  if (retired === undefined) {
    return undefined;
  }
  const step = remove(o, retired.id, o.retired, settings);
  if (step === undefined) {
    return { kind: "WriteStatus", status: renderStatus(o, { retired: undefined }) };
  }
  return step.kind === "Wait" ? undefined : step;
}
