import type { Machine } from "../machines/cloud.ts";
import { boundedMessage, timestamp } from "../satellite/conditions.ts";
import { nextEpoch, PowerReason } from "../satellite/power.ts";
import type { Replacement } from "../satellite/resource.ts";
import type { Action, ActionKind } from "./action.ts";
import { pausingBetweenAttempts } from "./attempts.ts";
import { attach, detach, giveVolume, isLost } from "./data-volume.ts";
import { refusalOf, searchLaunched, sendLaunch } from "./decide-launch.ts";
import { isGone, missingPollMs } from "./absence.ts";
import { failureOfAction, waitingForRetry } from "./failures.ts";
import { isTold, pendingImage } from "./image-update.ts";
import { mayUpdateNow } from "./maintenance-window.ts";
import type { Failure } from "./memory/failures.ts";
import { healthOf } from "./older-status.ts";
import type { Observation } from "./observation.ts";
import { machineStatus, movePower, renderStatus, type StatusChange } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { isHibernated } from "./size.ts";
import { beginStart } from "./start-intent.ts";
import { readyEndpoint, replacementProbeAction } from "./vm-key.ts";
import { NOT_VISIBLE, transitionPollMs } from "./waiting.ts";

/** How long a new machine may take until its port answers; routers hold requests for 20 minutes. */
const PATIENCE_MS = 10 * 60_000;

/**
 * Begins to replace a stopped machine whose image is outdated. One that hibernates is started and stopped before that,
 * since its memory is of use with its own disks only.
 *
 * @returns `undefined` when there is nothing to replace, or not now
 */
export function applyImage(observed: Observation, machine: Machine): Action | undefined {
  const wanted = observed.satellite.spec.desiredPower === "on";
  const { volume } = observed.satellite.status;
  const isAttached = volume?.id === undefined || machine.volumes.includes(volume.id);
  if (
    pendingImage(observed) === undefined ||
    !mayUpdateNow(observed.satellite, observed.now) ||
    (wanted && !isTold(observed)) ||
    !isAttached ||
    waitingForRetry(observed, "PlanReplacement") !== undefined
  ) {
    return undefined;
  }
  if (isHibernated(observed, machine)) {
    return wanted || pausingBetweenAttempts(observed) !== undefined
      ? undefined
      : beginStart(observed, PowerReason.Refresh);
  }
  return planReplacement(observed, 0);
}

/**
 * Begins to replace a stopped machine whose port stayed silent over a reboot and a restart, where its class says so. This
 * does not wait for a maintenance window: the satellite is of no use as it is.
 *
 * @returns `undefined` when that is not wished, or was tried in vain
 */
export function applyRecovery(observed: Observation, machine: Machine): Action | undefined {
  const { spec, status } = observed.satellite;
  const isAttached = status.volume?.id === undefined || machine.volumes.includes(status.volume.id);
  const isWished =
    spec.desiredPower === "on" &&
    healthOf(status)?.trouble === "Replacing" &&
    status.replacement === undefined;
  if (!isWished || !isAttached) {
    return undefined;
  }
  const retry = waitingForRetry(observed, "PlanReplacement");
  const isRefused = failureOfAction(observed, "PlanReplacement")?.terminal === true;
  return retry === undefined ? planReplacement(observed, 0) : isRefused ? undefined : retry;
}

/** The fence goes up with each plan, so that late patches that were decided on an earlier one are refused. */
function planReplacement(observed: Observation, combination: number): Action {
  const { launch, power } = observed.satellite.status;
  return {
    kind: "PlanReplacement",
    attempt: (launch?.attempt ?? 0) + 1,
    combination,
    power: {
      ...movePower(observed, "Updating", PowerReason.Update),
      fence: power.state === "Updating" ? power.fence + 1 : 0,
    },
  };
}

/**
 * `status.power.state` is Updating: launch a machine beside the one in use, which is stopped, give it the data volume,
 * and use it once its port answers; or go back to the old one. Requests are held meanwhile.
 */
export function decideUpdating(
  observed: Observation,
  old: Machine | undefined,
  settings: OperatorSettings,
): Action {
  const { replacement } = observed.satellite.status;
  switch (replacement?.state) {
    case "Launching":
      return replacement.machine === undefined
        ? settleReplacement(observed, replacement, settings)
        : (bringUp(observed, replacement, settings) ?? replace(observed));
    case "Returning":
      return goBack(observed, replacement, old, settings);
    case "Failed":
    case undefined:
      return {
        kind: "WriteStatus",
        status: renderStatus(observed, { power: movePower(observed, "Off", PowerReason.Update) }),
      };
  }
}

/** Sends the planned launch until its outcome is known, as for the first machine of a satellite. */
export function settleReplacement(
  observed: Observation,
  replacement: Replacement,
  settings: OperatorSettings,
): Action {
  const { memory, satellite } = observed;
  const { launch, power } = satellite.status;
  if (memory.launch.machine !== undefined && memory.launch.token === launch?.token) {
    return {
      kind: "WriteStatus",
      status: renderStatus(observed, {
        // Changes power, so that a late patch of an earlier leader is refused.
        ...(power.state === "Updating" ? { power: { ...power, accepted: true } } : {}),
        replacement: {
          ...replacement,
          since: timestamp(observed.now),
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
  const refused = refusalOf(observed);
  if (refused === undefined) {
    const found = isDeleting ? searchLaunched(observed, settings) : undefined;
    return found === "nothing"
      ? { kind: "WriteStatus", status: renderStatus(observed, { replacement: undefined }) }
      : (found ?? sendLaunch(observed));
  }
  return isDeleting
    ? { kind: "WriteStatus", status: renderStatus(observed, { replacement: undefined }) }
    : nextCombination(observed, replacement, refused);
}

/** For want of capacity each other type of the zone is tried once; after that the machine stays what it is. */
function nextCombination(observed: Observation, replacement: Replacement, refused: Failure): Action {
  if (refused.class === "capacity" && refused.count % (observed.memory.launch.combinations ?? 1) !== 0) {
    return planReplacement(observed, refused.count);
  }
  return giveUp(observed, replacement, refused.reason, refused.message);
}

/** The next step until the new machine has the volume and answers; `undefined` when it does. */
function bringUp(
  observed: Observation,
  replacement: Replacement,
  settings: OperatorSettings,
): Action | undefined {
  const { replacement: machine, now, memory, nowMs } = observed;
  const ageMs = now.getTime() - Date.parse(replacement.since);
  if (machine === undefined) {
    return ageMs < settings.unknownMachineMs
      ? {
          kind: "Wait",
          afterMs: missingPollMs(observed, replacement.machine?.id ?? ""),
          reason: NOT_VISIBLE,
        }
      : giveUp(
          observed,
          replacement,
          "ReplacementGone",
          `${observed.cloud.words.name} does not show the new machine`,
        );
  }
  if (machine.state !== "pending" && machine.state !== "running") {
    const { code, message, advice } = machine.stateReason ?? { code: machine.state, message: "", advice: "" };
    const why = [code, message, advice].filter((part) => part !== "").join(": ");
    return giveUp(observed, replacement, "ReplacementFailed", `the new machine ${machine.id} ended: ${why}`);
  }
  const failure = memory.failures.last;
  const isOfThis = failure?.attempt === observed.satellite.status.launch?.attempt;
  if (failure?.terminal === true && isOfThis && VOLUME_MOVES.has(failure.action)) {
    return giveUp(observed, replacement, failure.reason, failure.message);
  }
  const seen =
    memory.port.replacementProbe?.machine === machine.id ? memory.port.replacementProbe : undefined;
  if (ageMs > PATIENCE_MS) {
    const message = `the new machine ${machine.id} did not answer within 10 minutes; look at its console output`;
    const { trouble = { reason: "ReplacementSilent", message } } = seen ?? {};
    return giveUp(observed, replacement, trouble.reason, trouble.message);
  }
  if (machine.state === "pending" || machine.address === undefined) {
    return {
      kind: "Wait",
      afterMs: transitionPollMs(observed, settings.transitionPollMs),
      reason: "Replacing",
    };
  }
  if (observed.machine?.state === "running" || observed.machine?.state === "pending") {
    const message = `machine ${observed.machine.id} was started by somebody while it was being replaced`;
    return giveUp(observed, replacement, "MachineStartedOutside", message);
  }
  const move = moveVolume(observed, machine, settings);
  if (move !== undefined) {
    return move;
  }
  if (readyEndpoint(observed, machine) !== undefined) {
    return undefined;
  }
  if (seen !== undefined && nowMs - seen.atMs < settings.probePollMs) {
    return { kind: "Wait", afterMs: seen.atMs + settings.probePollMs - nowMs, reason: "Replacing" };
  }
  return replacementProbeAction(observed, machine);
}

/** Steps that the new machine is of no use without. */
const VOLUME_MOVES: ReadonlySet<string> = new Set<ActionKind>([
  "CreateVolume",
  "AttachVolume",
  "DetachVolume",
]);

/** Takes the volume from the old machine, which is stopped, and gives it to the new one. */
function moveVolume(observed: Observation, machine: Machine, settings: OperatorSettings): Action | undefined {
  const { volume, satellite } = observed;
  const { id } = satellite.status.volume ?? {};
  const holder = volume?.attachment;
  const old = satellite.status.machine?.id;
  if (id === undefined || holder === undefined || holder.machine !== old || machine.volumes.includes(id)) {
    return giveVolume(observed, machine, settings);
  }
  // A machine that reads do not show may run, and its disk must not be taken away.
  if (observed.machine === undefined) {
    return { kind: "Wait", afterMs: missingPollMs(observed, holder.machine), reason: NOT_VISIBLE };
  }
  return detach(observed, id, holder, settings);
}

/** The new machine answers: from now on it is the one in use, known by its own key, and the old one may go. */
function replace(observed: Observation): Action {
  const { satellite, replacement: machine } = observed;
  const { power, replacement, machine: old } = satellite.status;
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, {
      power: nextEpoch(power, { reason: PowerReason.Update, accepted: true, since: timestamp(observed.now) }),
      machine: replacement?.machine,
      endpoint: machine === undefined ? undefined : readyEndpoint(observed, machine),
      sleep: undefined,
      replacement: undefined,
      ...(old === undefined ? {} : { retired: { id: old.id, since: timestamp(observed.now) } }),
    }),
    announce: {
      type: "Normal",
      reason: "Replaced",
      message: `${machine?.id ?? "another machine"} (${replacement?.image ?? "new image"}) has replaced ${old?.id ?? "the old one"}`,
    },
  };
}

function giveUp(
  observed: Observation,
  { image, machine }: Replacement,
  reason: string,
  message: string,
): Action {
  const returning: Replacement = {
    state: "Returning",
    image,
    since: timestamp(observed.now),
    reason,
    message: boundedMessage(message),
    ...(machine === undefined ? {} : { machine }),
  };
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, { replacement: returning }),
    announce: {
      type: "Warning",
      reason,
      message: `the machine keeps its image, ${image} could not replace it: ${message}`,
    },
  };
}

/** Terminates the new machine, which frees the volume, and gives that back to the old one. */
function goBack(
  observed: Observation,
  replacement: Replacement,
  old: Machine | undefined,
  settings: OperatorSettings,
): Action {
  const removal = terminate(observed, replacement.machine?.id, observed.replacement, settings);
  if (removal !== undefined) {
    return removal;
  }
  const { id } = observed.satellite.status.volume ?? {};
  const isAlive = old !== undefined && old.state !== "terminated" && old.state !== "shutting-down";
  if (id !== undefined && isAlive && !old.volumes.includes(id) && !isLost(observed, settings)) {
    return attach(observed, id, old, settings);
  }
  const { machine: _new, ...rest } = replacement;
  const change: StatusChange = {
    power: movePower(observed, "Off", PowerReason.Update),
    replacement: { ...rest, state: "Failed", since: timestamp(observed.now) },
  };
  return { kind: "WriteStatus", status: renderStatus(observed, change) };
}

/**
 * The next step until a machine that nobody uses is terminated; `undefined` when it is, or is proved to be gone.
 *
 * @param id as the status names it; `undefined`: it names none
 */
export function terminate(
  observed: Observation,
  id: string | undefined,
  machine: Machine | undefined,
  settings: OperatorSettings,
): Action | undefined {
  if (id === undefined || machine?.state === "terminated") {
    return undefined;
  }
  const sentAtMs = observed.memory.calls.terminated?.[id];
  if (machine === undefined) {
    return sentAtMs !== undefined || isGone(observed, id, settings)
      ? undefined
      : { kind: "Wait", afterMs: missingPollMs(observed, id), reason: NOT_VISIBLE };
  }
  const isSent = sentAtMs !== undefined && observed.nowMs - sentAtMs < settings.settleMs;
  return machine.state === "shutting-down" || isSent
    ? { kind: "Wait", afterMs: transitionPollMs(observed, settings.transitionPollMs), reason: "Terminating" }
    : (waitingForRetry(observed, "Terminate") ?? { kind: "Terminate", id: machine.id });
}

/** Terminates the machine that was replaced. This goes on beside everything else: a wait for it delays nothing. */
export function retire(observed: Observation, settings: OperatorSettings): Action | undefined {
  const { retired } = observed.satellite.status;
  if (retired === undefined) {
    return undefined;
  }
  const step = terminate(observed, retired.id, observed.retired, settings);
  if (step === undefined) {
    return { kind: "WriteStatus", status: renderStatus(observed, { retired: undefined }) };
  }
  return step.kind === "Wait" ? undefined : step;
}
