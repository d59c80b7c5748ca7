import { nextEpoch, PowerReason } from "../satellite/power.ts";
import { NO_CAPACITY, type Machine, type Volume } from "../machines/cloud.ts";
import { isRefusal } from "../machines/errors.ts";
import { timestamp } from "../satellite/conditions.ts";
import type { Action } from "./action.ts";
import { endedAttempt, failedAttempt, pausingBetweenAttempts } from "./attempts.ts";
import { search } from "./decide-search.ts";
import { failureOfAction, inputsOf, waitingForRetry } from "./failures.ts";
import type { Failure } from "./memory/failures.ts";
import type { Observation } from "./observation.ts";
import { healthField } from "./health.ts";
import { healthOf } from "./older-status.ts";
import { adopt, takenVolume, wantedAdoption } from "./ownership.ts";
import { isRecovering } from "./recovery-policy.ts";
import { machineStatus, movePower, renderStatus, type StatusChange } from "./render-status.ts";
import { waitForSchedule } from "./decide-schedule.ts";
import { isGone, missingPollMs } from "./absence.ts";
import { isHeld } from "./launch-request.ts";
import type { OperatorSettings } from "./settings.ts";
import { firstEndpoint } from "./vm-key.ts";
import { NOT_VISIBLE } from "./waiting.ts";

/**
 * Whether a launch is planned and its outcome is not known yet. From the plan until the machine's ID is written,
 * `status.power` stays Starting for reason Launch.
 */
export function launchIsUnsettled({ satellite: { status } }: Observation): boolean {
  return (
    status.machine === undefined &&
    status.launch !== undefined &&
    status.power.state === "Starting" &&
    status.power.reason === PowerReason.Launch
  );
}

/** No machine is known: find a stray one, plan a launch, or carry out the planned one. */
export function decideLaunch(observed: Observation, settings: OperatorSettings): Action {
  const { satellite } = observed;
  if (launchIsUnsettled(observed)) {
    return settleLaunch(observed, settings);
  }
  if (observed.stray !== undefined) {
    return (
      waitingForStrayVolume(observed, settings) ?? rebuildFrom(observed, observed.stray, observed.strayVolume)
    );
  }
  if (satellite.status.power.state !== "Off") {
    return powerOff(observed);
  }
  if (wantedAdoption(satellite) !== undefined) {
    const adoption = adopt(observed);
    return adoption.kind === "ours"
      ? rebuildFrom(observed, adoption.machine, adoption.volume)
      : adoption.next;
  }
  if (satellite.spec.desiredPower === "off") {
    return waitForSchedule(observed, settings, "NeverLaunched");
  }
  if (observed.awakeLimit !== undefined) {
    return { kind: "Wait", afterMs: settings.quotaPollMs, reason: observed.awakeLimit.reason };
  }
  const pause = pausingBetweenAttempts(observed);
  if (pause !== undefined) {
    return pause;
  }
  if (!observed.listed) {
    return waitingForRetry(observed, "ListMachines") ?? { kind: "ListMachines" };
  }
  if (observed.satelliteClass !== undefined && !isHeld(observed.satelliteClass)) {
    return { kind: "Wait", afterMs: settings.quotaPollMs, reason: "ClassNotHeldYet" };
  }
  const { launch, attempts } = satellite.status;
  const attempt = (launch?.attempt ?? -1) + 1;
  const combination = attempts?.reason === NO_CAPACITY ? attempts.failed : 0;
  return waitingForRetry(observed, "PlanLaunch") ?? planLaunch(observed, attempt, combination);
}

/** The first plan of a launch begins an epoch; those after a refusal belong to the same one. */
function planLaunch(observed: Observation, attempt: number, combination: number): Action {
  const { power } = observed.satellite.status;
  const intent = { reason: PowerReason.Launch, accepted: false, since: timestamp(observed.now) };
  return {
    kind: "PlanLaunch",
    attempt,
    combination,
    power: power.state === "Starting" ? { ...power, ...intent, fence: 0 } : nextEpoch(power, intent),
  };
}

/**
 * Sends the planned launch until its outcome is known. A definite refusal for want of capacity moves on to the
 * next type or zone; while the outcome is unknown nothing but the same request may be sent.
 */
export function settleLaunch(observed: Observation, settings: OperatorSettings): Action {
  const { satellite, memory } = observed;
  if (memory.launch.machine !== undefined) {
    return writeLaunched(observed, memory.launch.machine);
  }
  const deleting = satellite.metadata.deletionTimestamp !== undefined;
  const refused = refusalOf(observed);
  if (refused !== undefined) {
    return deleting ? { kind: "RemoveFinalizer" } : planAgain(observed, refused);
  }
  const found = deleting ? searchLaunched(observed, settings) : undefined;
  return found === "nothing" ? { kind: "RemoveFinalizer" } : (found ?? sendLaunch(observed));
}

/** Looks for the machine of a launch of unknown outcome that nobody wants any more (decide-search.ts). */
export function searchLaunched(
  observed: Observation,
  settings: OperatorSettings,
): Action | "nothing" | undefined {
  const { attempt, token = "" } = observed.satellite.status.launch ?? {};
  const failure = failureOfAction(observed, "Launch");
  const isUnknown = failure !== undefined && failure.attempt === attempt;
  return search(observed, { action: "FindLaunched", token, isUnknown }, settings);
}

/** Sends the planned launch; waits first only if this very plan has failed before. */
export function sendLaunch(observed: Observation): Action {
  const isAgain = failureOfAction(observed, "Launch")?.attempt === observed.satellite.status.launch?.attempt;
  return (isAgain ? waitingForRetry(observed, "Launch") : undefined) ?? { kind: "Launch" };
}

/**
 * The refusal of the launch that is planned now, if there was one. "Too many requests" is no refusal: an earlier request, of
 * this process or of one before, may have been carried out without an answer.
 */
export function refusalOf(observed: Observation): Failure | undefined {
  const failure = failureOfAction(observed, "Launch");
  const isOfThisPlan = failure !== undefined && failure.attempt === observed.satellite.status.launch?.attempt;
  return isOfThisPlan && isRefusal(failure.class) ? failure : undefined;
}

/** Nothing was launched: plans the next type or zone, the same again later, or what the spec asks for by now. */
function planAgain(observed: Observation, refused: Failure): Action {
  const attempt = (observed.satellite.status.launch?.attempt ?? 0) + 1;
  const plan = (combination: number): Action => planLaunch(observed, attempt, combination);
  const recheck = waitingForRetry(observed, "PlanLaunch");
  if (recheck !== undefined) {
    return recheck;
  }
  if (refused.inputs !== inputsOf(observed)) {
    return plan(0);
  }
  if (refused.class === "capacity" && refused.count % (observed.memory.launch.combinations ?? 1) !== 0) {
    return plan(refused.count);
  }
  return waitingForRetry(observed, "Launch") ?? plan(refused.class === "capacity" ? refused.count : 0);
}

function writeLaunched(observed: Observation, machine: Machine): Action {
  const { status } = observed.satellite;
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, {
      power: { ...status.power, accepted: true },
      machine: machineStatus(machine, status.launch?.size),
      endpoint: firstEndpoint(observed, machine),
    }),
    announce: {
      type: "Normal",
      reason: "Launched",
      message: `launched ${machine.id} (${machine.type}, ${machine.zone})`,
    },
  };
}

/** A wait while reads do not show the volume that a machine to be taken up has. */
export function waitingForStrayVolume(observed: Observation, settings: OperatorSettings): Action | undefined {
  const { stray, strayVolume, satellite } = observed;
  const isMissing =
    stray?.volumes[0] !== undefined && strayVolume === undefined && satellite.status.volume === undefined;
  return isMissing
    ? { kind: "Wait", afterMs: settings.transitionPollMs, reason: "VolumeNotVisible" }
    : undefined;
}

/** The status was lost (restored from a backup, say), or it is an adoption: the machine's tags tell whose it is. */
function rebuildFrom(observed: Observation, machine: Machine, found: Volume | undefined): Action {
  const { status } = observed.satellite;
  const volume = takenVolume(observed, found);
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, {
      power: { ...status.power, state: "Off", accepted: false, reason: PowerReason.Drift },
      ...(volume === undefined ? {} : { volume }),
      machine: machineStatus(machine, status.launch?.size),
      endpoint: firstEndpoint(observed, machine),
    }),
    announce: {
      type: "Normal",
      reason: "MachineFound",
      message: `took over ${machine.id}${volume === undefined ? "" : ` and data volume ${volume.id}`}, tagged as this satellite's`,
    },
  };
}

/** The machine is gone: power is off, and the next launch may be planned. */
function powerOff(observed: Observation): Action {
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, {
      power: movePower(observed, "Off", PowerReason.Drift),
      endpoint: undefined,
      sleep: undefined,
    }),
  };
}

/** What has become of the machine, in words. */
function lossOf({ machine, cloud, satellite: { status } }: Observation): string {
  const id = status.machine?.id ?? "";
  return machine === undefined
    ? `machine ${id} has been missing from all that ${cloud.words.name} shows for minutes (should it appear again, it is kept aside)`
    : `machine ${id} was terminated outside`;
}

/** Says that the machine is lost, and keeps its ID, so that none is launched in its place. */
function reportLoss(observed: Observation): Action {
  const message =
    `${lossOf(observed)}, and its disk is lost; set ` +
    "spec.machineLossPolicy to Relaunch for a new one, or delete the satellite";
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, {
      power: movePower(observed, "Off", PowerReason.Drift),
      endpoint: undefined,
      sleep: undefined,
      health: healthField("MachineLost", message),
    }),
    announce: { type: "Warning", reason: "MachineLost", message },
  };
}

/** The machine in the status has ended, or reads do not show it (any more, or yet), which is no proof. */
export function decideGone(observed: Observation, settings: OperatorSettings): Action {
  const { status } = observed.satellite;
  const id = status.machine?.id ?? "";
  if (observed.machine === undefined && !isGone(observed, id, settings)) {
    return { kind: "Wait", afterMs: missingPollMs(observed, id), reason: NOT_VISIBLE };
  }
  if (status.power.state === "Starting" && status.power.reason === PowerReason.Launch) {
    return failLaunch(observed);
  }
  const isKnown = healthOf(status)?.trouble === "MachineLost";
  if (observed.satellite.spec.machineLossPolicy === "Fail") {
    return isKnown
      ? { kind: "Wait", afterMs: settings.resyncMs, reason: "MachineLost" }
      : reportLoss(observed);
  }
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, {
      power: movePower(observed, "Off", PowerReason.Drift),
      machine: undefined,
      endpoint: undefined,
      sleep: undefined,
      ...endedBeforeItsTime(observed),
      // What was wrong was wrong with the machine that is gone.
      ...(isKnown || isRecovering(healthOf(status)?.trouble) ? { health: undefined } : {}),
    }),
    announce: {
      type: "Warning",
      reason: "MachineGone",
      message: `${lossOf(observed)}; its disk is lost${whyGone(observed)}`,
    },
  };
}

/** A machine that ended while it was started, or soon after, counts as a failed attempt; one that slept does not. */
function endedBeforeItsTime(observed: Observation): Pick<StatusChange, "attempts"> {
  const { state } = observed.satellite.status.power;
  return state === "Starting" || state === "Running"
    ? { attempts: endedAttempt(observed, observed.machine) }
    : {};
}

/** The new machine ended before it was awake: nothing is lost but the attempt. */
function failLaunch(observed: Observation): Action {
  const attempts = failedAttempt(observed, observed.machine);
  const { reason, message } = attempts;
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, {
      power: movePower(observed, "Off", PowerReason.Drift),
      machine: undefined,
      endpoint: undefined,
      sleep: undefined,
      attempts,
    }),
    announce: { type: "Warning", reason, message },
  };
}

function whyGone({ machine, cloud }: Observation): string {
  const { code, message, advice } = machine?.stateReason ?? { code: "", message: "", advice: "" };
  return code === ""
    ? ""
    : ` (${cloud.words.name} says ${[code, message].filter((part) => part !== "").join(": ")}; ${advice})`;
}
