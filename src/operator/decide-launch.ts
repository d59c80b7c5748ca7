import { nextEpoch, PowerReason } from "../satellite/power.ts";
import type { Machine } from "../machines/cloud.ts";
import { isRefusal } from "../machines/errors.ts";
import { timestamp } from "../satellite/conditions.ts";
import type { Action } from "./action.ts";
import { endedAttempt, failedAttempt, NO_CAPACITY, pausingBetweenAttempts } from "./attempts.ts";
import { search } from "./decide-search.ts";
import { failureOfAction, inputsOf, waitingForRetry } from "./failures.ts";
import type { Failure } from "./memory/failures.ts";
import type { Observation } from "./observation.ts";
import { healthField } from "./health.ts";
import { healthOf } from "./older-status.ts";
import { adopt, wantedAdoption } from "./ownership.ts";
import { machineStatus, movePower, renderStatus, type StatusChange } from "./render-status.ts";
import { waitForSchedule } from "./decide-schedule.ts";
import { isGone, missingPollMs } from "./absence.ts";
import { isHeld } from "./launch-request.ts";
import type { OperatorSettings } from "./settings.ts";
import { firstEndpoint } from "./vm-key.ts";

/**
 * Whether a launch intent is written whose outcome no one knows yet. From the intent on until the machine's ID
 * is written, `status.power` stays Starting for reason Launch.
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
export function decideLaunch(o: Observation, settings: OperatorSettings): Action {
  const { satellite } = o;
  if (launchIsUnsettled(o)) {
    return settleLaunch(o, settings);
  }
  if (o.stray !== undefined) {
    return rebuildFrom(o, o.stray, o.stray.volumes[0]);
  }
  if (satellite.status.power.state !== "Off") {
    return powerOff(o);
  }
  if (wantedAdoption(satellite) !== undefined) {
    const adoption = adopt(o);
    return adoption.kind === "ours" ? rebuildFrom(o, adoption.machine) : adoption.next;
  }
  if (satellite.spec.desiredPower === "off") {
    return waitForSchedule(o, settings, "NeverLaunched");
  }
  if (o.awakeLimit !== undefined) {
    return { kind: "Wait", afterMs: settings.quotaPollMs, reason: o.awakeLimit.reason };
  }
  const pause = pausingBetweenAttempts(o);
  if (pause !== undefined) {
    return pause;
  }
  if (!o.listed) {
    return waitingForRetry(o, "ListMachines") ?? { kind: "ListMachines" };
  }
  if (o.satelliteClass !== undefined && !isHeld(o.satelliteClass)) {
    return { kind: "Wait", afterMs: settings.quotaPollMs, reason: "ClassNotHeldYet" };
  }
  const { launch, attempts } = satellite.status;
  const attempt = (launch?.attempt ?? -1) + 1;
  const combination = attempts?.reason === NO_CAPACITY ? attempts.failed : 0;
  return waitingForRetry(o, "PlanLaunch") ?? planLaunch(o, attempt, combination);
}

/** The first plan of a launch begins the next epoch; those that follow a refusal are of the same. */
function planLaunch(o: Observation, attempt: number, combination: number): Action {
  const { power } = o.satellite.status;
  const intent = { reason: PowerReason.Launch, accepted: false, since: timestamp(o.now) };
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
export function settleLaunch(o: Observation, settings: OperatorSettings): Action {
  const { satellite, memory } = o;
  if (memory.launch.machine !== undefined) {
    return writeLaunched(o, memory.launch.machine);
  }
  const deleting = satellite.metadata.deletionTimestamp !== undefined;
  const refused = refusalOf(o);
  if (refused !== undefined) {
    return deleting ? { kind: "RemoveFinalizer" } : planAgain(o, refused);
  }
  const found = deleting ? searchLaunched(o, settings) : undefined;
  return found === "nothing" ? { kind: "RemoveFinalizer" } : (found ?? sendLaunch(o));
}

/** Looks for the machine of a launch of unknown outcome that nobody wants any more (decide-search.ts). */
export function searchLaunched(o: Observation, settings: OperatorSettings): Action | "nothing" | undefined {
  const { attempt, token = "" } = o.satellite.status.launch ?? {};
  const failure = failureOfAction(o, "Launch");
  const isUnknown = failure !== undefined && failure.attempt === attempt;
  return search(o, { action: "FindLaunched", token, isUnknown }, settings);
}

/** Sends the planned launch. What an earlier plan met with was waited for before this one was made. */
export function sendLaunch(o: Observation): Action {
  const isAgain = failureOfAction(o, "Launch")?.attempt === o.satellite.status.launch?.attempt;
  return (isAgain ? waitingForRetry(o, "Launch") : undefined) ?? { kind: "Launch" };
}

/**
 * The definite refusal of the launch that is planned now, if there was one. Having sent too many requests is none: an
 * earlier one, of this process or of the one before, may have been carried out without an answer.
 */
export function refusalOf(o: Observation): Failure | undefined {
  const failure = failureOfAction(o, "Launch");
  const isOfThisPlan = failure !== undefined && failure.attempt === o.satellite.status.launch?.attempt;
  return isOfThisPlan && isRefusal(failure.class) ? failure : undefined;
}

/** Nothing was launched: the next type or zone, the same again later, or what the spec says by now. */
function planAgain(o: Observation, refused: Failure): Action {
  const attempt = (o.satellite.status.launch?.attempt ?? 0) + 1;
  const plan = (combination: number): Action => planLaunch(o, attempt, combination);
  const recheck = waitingForRetry(o, "PlanLaunch");
  if (recheck !== undefined) {
    return recheck;
  }
  if (refused.inputs !== inputsOf(o)) {
    return plan(0);
  }
  if (refused.class === "capacity" && refused.count % (o.memory.launch.combinations ?? 1) !== 0) {
    return plan(refused.count);
  }
  return waitingForRetry(o, "Launch") ?? plan(refused.class === "capacity" ? refused.count : 0);
}

function writeLaunched(o: Observation, machine: Machine): Action {
  const { status } = o.satellite;
  return {
    kind: "WriteStatus",
    status: renderStatus(o, {
      power: { ...status.power, accepted: true },
      machine: machineStatus(machine, status.launch?.size),
      endpoint: firstEndpoint(o, machine),
    }),
    announce: {
      type: "Normal",
      reason: "Launched",
      message: `launched ${machine.id} (${machine.type}, ${machine.zone})`,
    },
  };
}

/** The status was lost (restored from a backup, say), or it is an adoption: the machine's tags tell whose it is. */
function rebuildFrom(o: Observation, machine: Machine, volume?: string): Action {
  const { status } = o.satellite;
  return {
    kind: "WriteStatus",
    status: renderStatus(o, {
      power: { ...status.power, state: "Off", accepted: false, reason: PowerReason.Drift },
      ...(volume === undefined || status.volume !== undefined
        ? {}
        : { volume: { id: volume, attempt: 0, zone: machine.zone } }),
      machine: machineStatus(machine, status.launch?.size),
      endpoint: firstEndpoint(o, machine),
    }),
    announce: {
      type: "Normal",
      reason: "MachineFound",
      message: `took over ${machine.id}, which is tagged as this satellite's`,
    },
  };
}

/** The machine is gone: power is off, and the next launch may be planned. */
function powerOff(o: Observation): Action {
  return {
    kind: "WriteStatus",
    status: renderStatus(o, {
      power: movePower(o, "Off", PowerReason.Drift),
      endpoint: undefined,
      sleep: undefined,
    }),
  };
}

/** What has become of the machine, in words. */
function lossOf({ machine, satellite: { status } }: Observation): string {
  const id = status.machine?.id ?? "";
  return machine === undefined
    ? `machine ${id} has been missing from all that EC2 shows for minutes (should it appear again, it is kept aside)`
    : `machine ${id} was terminated outside`;
}

/** Says that the machine is lost, and keeps its ID, so that none is launched in its place. */
function reportLoss(o: Observation): Action {
  const message =
    `${lossOf(o)}, and its disk is lost; set ` +
    "spec.machineLossPolicy to Relaunch for a new one, or delete the satellite";
  return {
    kind: "WriteStatus",
    status: renderStatus(o, {
      power: movePower(o, "Off", PowerReason.Drift),
      endpoint: undefined,
      sleep: undefined,
      health: healthField("MachineLost", message),
    }),
    announce: { type: "Warning", reason: "MachineLost", message },
  };
}

/** The machine in the status is gone, or EC2 does not show it (any more, or yet), which is no proof. */
export function decideGone(o: Observation, settings: OperatorSettings): Action {
  const { status } = o.satellite;
  const id = status.machine?.id ?? "";
  if (o.machine === undefined && !isGone(o, id, settings)) {
    return { kind: "Wait", afterMs: missingPollMs(o, id), reason: "InstanceNotVisible" };
  }
  if (status.power.state === "Starting" && status.power.reason === PowerReason.Launch) {
    return failLaunch(o);
  }
  const isKnown = healthOf(status)?.trouble === "MachineLost";
  if (o.satellite.spec.machineLossPolicy === "Fail") {
    return isKnown ? { kind: "Wait", afterMs: settings.resyncMs, reason: "MachineLost" } : reportLoss(o);
  }
  return {
    kind: "WriteStatus",
    status: renderStatus(o, {
      power: movePower(o, "Off", PowerReason.Drift),
      machine: undefined,
      endpoint: undefined,
      sleep: undefined,
      ...endedBeforeItsTime(o),
      ...(isKnown ? { health: undefined } : {}),
    }),
    announce: {
      type: "Warning",
      reason: "MachineGone",
      message: `${lossOf(o)}; its disk is lost${whyGone(o)}`,
    },
  };
}

/** One that was being started, or was not awake for long, counts as an attempt; one that rested does not. */
function endedBeforeItsTime(o: Observation): Pick<StatusChange, "attempts"> {
  const { state } = o.satellite.status.power;
  return state === "Starting" || state === "Running" ? { attempts: endedAttempt(o, o.machine) } : {};
}

/** What was launched ended before it was awake: nothing is lost but the attempt. */
function failLaunch(o: Observation): Action {
  const attempts = failedAttempt(o, o.machine);
  const { reason, message } = attempts;
  return {
    kind: "WriteStatus",
    status: renderStatus(o, {
      power: movePower(o, "Off", PowerReason.Drift),
      machine: undefined,
      endpoint: undefined,
      sleep: undefined,
      attempts,
    }),
    announce: { type: "Warning", reason, message },
  };
}

function whyGone({ machine }: Observation): string {
  const { code, message, advice } = machine?.stateReason ?? { code: "", message: "", advice: "" };
  return code === ""
    ? ""
    : ` (EC2 says ${[code, message].filter((part) => part !== "").join(": ")}; ${advice})`;
}
