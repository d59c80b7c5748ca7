import type { Machine } from "../machines/cloud.ts";
import {
  findCondition,
  setConditions,
  timestamp,
  withProgress,
  type ConditionChange,
} from "../satellite/conditions.ts";
import { phaseOf } from "../satellite/phase.ts";
import type { Condition, Power, SatelliteStatus } from "../satellite/resource.ts";
import type { OperatorStatus } from "../satellite/status-patch.ts";
import type { ActionKind } from "./action.ts";
import { areHopeless, attemptTrouble, countingAttempts } from "./attempts.ts";
import { blockerOf } from "./blockers.ts";
import type { Blocker, Observation } from "./observation.ts";
import { mayReplace, newerImage } from "./image-update.ts";
import { wakeTimes } from "./wake-schedule.ts";
import { isTimeZone } from "./maintenance-window.ts";
import { SIZE_UNKNOWN, sizeUnknown } from "./launch-request.ts";
import { eventCondition } from "./scheduled-event.ts";
import { pendingSize, wantedSize } from "./size.ts";
import { KeyTrouble, keyTrouble, presentEndpoint } from "./vm-key.ts";

/** Fields of the status that a step sets itself; the rest is derived. */
export interface StatusChange {
  readonly power?: Power;
  readonly machine?: SatelliteStatus["machine"] | undefined;
  readonly endpoint?: SatelliteStatus["endpoint"] | undefined;
  readonly sleep?: SatelliteStatus["sleep"] | undefined;
  readonly launch?: SatelliteStatus["launch"] | undefined;
  readonly attempts?: SatelliteStatus["attempts"] | undefined;
  readonly volume?: SatelliteStatus["volume"] | undefined;
  readonly replacement?: SatelliteStatus["replacement"] | undefined;
  readonly retired?: SatelliteStatus["retired"] | undefined;
  readonly usage?: SatelliteStatus["usage"] | undefined;
  /** Overrides of derived conditions. */
  readonly conditions?: readonly ConditionChange[];
}

/**
 * The whole status that the operator wants, from what it observed and what this step changes. A field that is
 * `undefined` in `change` although named there is removed.
 *
 * @param late what is waited for, where that takes long
 */
export function renderStatus(o: Observation, change: StatusChange = {}, late?: Blocker): OperatorStatus {
  const { satellite } = o;
  const changed = { ...satellite.status, ...change };
  const status = { ...changed, attempts: countingAttempts(o, changed) };
  const endpoint = status.endpoint === undefined ? undefined : presentEndpoint(o, status.endpoint);
  const generation = satellite.metadata.generation ?? 0;
  const { failure } = o.memory;
  const conditions = setConditions(
    satellite.status.conditions,
    [...derivedConditions(o, status, late), ...(change.conditions ?? [])],
    o.now,
    generation,
  );
  const failed =
    (failure?.terminal === true && !isBeside(failure.action, status.machine !== undefined)) ||
    (satellite.spec.desiredPower === "on" && areHopeless(status)) ||
    HOPELESS.has(findCondition(conditions, "Healthy")?.reason ?? "");
  const deleting = satellite.metadata.deletionTimestamp !== undefined;
  const facts = {
    deleting,
    failed,
    desiredPower: satellite.spec.desiredPower,
    power: status.power,
    hasMachine: status.machine !== undefined,
  };
  return {
    phase: phaseOf(facts),
    observedGeneration: generation,
    power: status.power,
    machine: describedMachine(o, status.machine),
    endpoint,
    sleep: status.sleep,
    launch: status.launch,
    attempts: status.attempts,
    volume: status.volume,
    replacement: status.replacement,
    retired: status.retired,
    usage: status.usage,
    conditions: withProgress(conditions, failed, o.now, generation),
  };
}

/** Reasons of Healthy=False after which nothing happens by itself. */
const HOPELESS: ReadonlySet<string> = new Set([
  "Unreachable",
  "MachineLost",
  KeyTrouble.OtherVM,
  KeyTrouble.TLSNotServed,
]);

/** Without these a satellite still does what it is for. */
const SIDE_ACTIONS: ReadonlySet<string> = new Set<ActionKind>(["Claim", "ChangeType", "PlanReplacement"]);

/** A launch is one of these, too, where there is a machine that it was to replace. */
function isBeside(action: string, hasMachine: boolean): boolean {
  return SIDE_ACTIONS.has(action) || (action === "Launch" && hasMachine);
}

/** `status.machine` with the type that the machine has by now, and the size that this type stands for. */
function describedMachine(o: Observation, machine: SatelliteStatus["machine"]): SatelliteStatus["machine"] {
  if (machine === undefined) {
    return undefined;
  }
  const type = o.machine?.id === machine.id ? o.machine.type : machine.type;
  const wanted = wantedSize(o);
  const size = type !== undefined && wanted?.types.includes(type) === true ? wanted.name : machine.size;
  return {
    ...machine,
    ...(type === undefined ? {} : { type }),
    ...(size === undefined ? {} : { size }),
  };
}

type Status = Pick<StatusChange, "machine" | "launch" | "replacement" | "attempts"> &
  Pick<SatelliteStatus, "power">;

function derivedConditions(o: Observation, status: Status, late: Blocker | undefined): ConditionChange[] {
  return [
    readyCondition(o, status, late),
    awakeCondition(status),
    launchedCondition(o, status),
    ...healthyCondition(o, status),
    ...hibernatableCondition(o, status),
    ...updatedCondition(o, status),
    ...eventCondition(o),
    ...keptAsideCondition(o),
  ];
}

/** Machines of the satellite that it does not use: they are kept for somebody to take them back. */
function keptAsideCondition({ keptAside, listed, satellite: { status } }: Observation): ConditionChange[] {
  const type = "MachinesKeptAside";
  if (!listed) {
    return [];
  }
  if (keptAside.length > 0) {
    const ids = keptAside.slice(0, 10).map(({ id }) => id);
    const message =
      `${ids.join(", ")}: tagged as this satellite's, and not used; stopped, and terminated after a week. ` +
      'docs/ec2.md, "Machines that are kept aside", says how to take one back';
    return [{ type, status: "True", reason: "KeptAside", message }];
  }
  return findCondition(status.conditions, type) === undefined
    ? []
    : [{ type, status: "False", reason: "None", message: "no machine is kept aside" }];
}

/** In the power state that was wished: also a sleeper that is meant to sleep, so that nobody waits for it for ever. */
function readyCondition(
  o: Observation,
  { power, attempts }: Status,
  late: Blocker | undefined,
): ConditionChange {
  const failure = o.memory.failure ?? blockerOf(o) ?? attemptTrouble({ power, attempts }) ?? late;
  const wished = o.satellite.spec.desiredPower === "on" ? "Running" : "Off";
  const silence = keyTrouble(o, power) ?? silenceOf(o, power);
  if (silence !== undefined) {
    return { type: "Ready", status: "False", reason: silence.reason, message: silence.message };
  }
  if (failure !== undefined && o.satellite.metadata.deletionTimestamp !== undefined) {
    return { type: "Ready", status: "False", reason: failure.reason, message: failure.message };
  }
  if (power.state === wished) {
    return wished === "Running"
      ? { type: "Ready", status: "True", reason: "Running", message: "the machine runs and its port answers" }
      : { type: "Ready", status: "True", reason: "Asleep", message: "asleep, as desired" };
  }
  if (failure !== undefined) {
    return { type: "Ready", status: "False", reason: failure.reason, message: failure.message };
  }
  return { type: "Ready", status: "False", reason: power.state, message: MOVING_MESSAGE[power.state] };
}

/** What is wrong with the machine: it is lost, it is stuck, or its port does not answer while it should. */
function silenceOf(o: Observation, power: Power): Condition | undefined {
  const healthy = findCondition(o.satellite.status.conditions, "Healthy");
  const { probe } = o.memory;
  const answers = probe?.epoch === power.epoch && probe.ready;
  const isUp = power.state === "Starting" || power.state === "Running";
  if (healthy?.reason === MACHINE_LOST || (healthy?.reason === STUCK && power.state === "Stopping")) {
    return healthy;
  }
  return isUp && !answers && healthy?.status === "False" ? healthy : undefined;
}

const MOVING_MESSAGE: Readonly<Record<Power["state"], string>> = {
  Off: "the machine is off; it is about to be started",
  Starting: "the machine is being started",
  Running: "the machine runs; it is about to be put to sleep",
  Stopping: "the machine is being put to sleep",
  Updating: "the machine is being updated",
};

function awakeCondition({ power }: Status): ConditionChange {
  return power.state === "Running"
    ? { type: "Awake", status: "True", reason: "PortAnswers", message: "the VM's gRPC port answers" }
    : { type: "Awake", status: "False", reason: power.state, message: `power is ${power.state}` };
}

function launchedCondition(o: Observation, { machine, ...status }: Status): ConditionChange {
  const failure = o.memory.failure ?? blockerOf(o) ?? attemptTrouble(status);
  if (machine !== undefined) {
    return { type: "Launched", status: "True", reason: "Launched", message: `machine ${machine.id} exists` };
  }
  return failure === undefined
    ? { type: "Launched", status: "False", reason: "NotLaunched", message: "no machine was launched yet" }
    : { type: "Launched", status: "False", reason: failure.reason, message: failure.message };
}

/** Reasons of Healthy=False: the step that was taken last against the silence of the port. */
export const Recovery = {
  Rebooting: "Rebooting",
  Restarting: "Restarting",
  /** Nothing helped; the phase is Failed. */
  Unreachable: "Unreachable",
} as const;

/** Reason of Healthy=False when the machine was terminated outside, and the policy is not to launch another. */
export const MACHINE_LOST = "MachineLost";

/** Reason of Healthy=False while a start or stop takes far longer than it should. */
export const STUCK = "Stuck";

/** Reasons of Healthy=False that decide what is done next. */
const KEPT: ReadonlySet<string> = new Set([...Object.values(Recovery), MACHINE_LOST, STUCK]);

/** A silent port is healthy again when it has answered; asleep as wished, the steps against it begin anew. */
function healthyCondition(o: Observation, { power, attempts }: Status): ConditionChange[] {
  const wasSilent = findCondition(o.satellite.status.conditions, "Healthy")?.status === "False";
  const { probe } = o.memory;
  const answers = probe?.epoch === power.epoch && probe.ready;
  const trouble = keyTrouble(o, power);
  if (trouble !== undefined) {
    return [{ type: "Healthy", status: "False", ...trouble }];
  }
  const isLeaving = o.satellite.status.power.state === "Running" && power.state === "Stopping";
  if ((power.state === "Running" && (answers || !wasSilent)) || (isLeaving && answers)) {
    return [
      { type: "Healthy", status: "True", reason: "PortAnswers", message: "the VM's gRPC port answers" },
    ];
  }
  const before = findCondition(o.satellite.status.conditions, "Healthy");
  const isLost = before?.reason === MACHINE_LOST;
  const failed = attemptTrouble({ power, attempts });
  const isKept = before?.status === "False" && KEPT.has(before.reason);
  if (failed !== undefined && o.satellite.spec.desiredPower === "on" && !isKept) {
    return [{ type: "Healthy", status: "False", ...failed }];
  }
  return power.state === "Off" && o.satellite.spec.desiredPower === "off" && wasSilent && !isLost
    ? [
        {
          type: "Healthy",
          status: "Unknown",
          reason: "Asleep",
          message: "it is asleep; what was wrong with it when it ran shows at its next wake",
        },
      ]
    : [];
}

/** Stays False once the cloud has refused for good, until another machine is launched. */
function hibernatableCondition(o: Observation, { machine, launch, power }: Status): ConditionChange[] {
  if (machine === undefined) {
    return [];
  }
  const reason = findCondition(o.satellite.status.conditions, "Hibernatable")?.reason;
  const refused = reason === HIBERNATION_REFUSED;
  const stillLost = reason === MEMORY_LOST.reason && !hasWoken(o, power);
  if ((refused || stillLost) && o.satellite.status.machine?.id === machine.id) {
    return [];
  }
  if (o.satellite.spec.sleepMode === "Stop") {
    return [
      {
        type: "Hibernatable",
        status: "False",
        reason: "SleepModeStop",
        message: "spec.sleepMode is Stop: memory is not kept",
      },
    ];
  }
  const configured = o.machine?.hibernationConfigured ?? launch?.hibernate;
  if (configured === undefined) {
    return [];
  }
  return configured
    ? [
        {
          type: "Hibernatable",
          status: "True",
          reason: "Supported",
          message: "memory is kept while it sleeps",
        },
      ]
    : [
        {
          type: "Hibernatable",
          status: "False",
          reason: "NotSupported",
          message:
            `machine ${machine.id} (${machine.type ?? "type unknown"}) was launched without hibernation, because ` +
            "its type or image does not support it or sleepMode was Stop; it is stopped instead",
        },
      ];
}

/** EC2 reports a hibernation as done although the guest failed at it; only another boot ID tells (docs/ec2.md). */
export const MEMORY_LOST = {
  type: "Hibernatable",
  status: "Unknown",
  reason: "MemoryLost",
  message:
    "the machine was hibernated but booted anew, so its memory was not kept; look in its console output for why the " +
    "guest could not hibernate",
} as const satisfies ConditionChange;

/** Whether this write ends a wake: what is said of memory is said anew. */
function hasWoken(o: Observation, power: Power): boolean {
  return power.state === "Running" && o.satellite.status.power.state === "Starting";
}

/** Reason of Hibernatable=False after EC2 refused to hibernate a machine for good. */
export const HIBERNATION_REFUSED = "HibernationRefused";

function updatedCondition(o: Observation, { machine, replacement }: Status): ConditionChange[] {
  const pending = pendingSize(o);
  const { invalid } = wakeTimes(o.satellite, o.now);
  if (invalid !== undefined) {
    const message = `spec.wakeSchedule is not understood, so it wakes nobody; correct ${invalid}`;
    return [{ type: "Updated", status: "False", reason: "WakeScheduleInvalid", message }];
  }
  const timeZone = o.satellite.spec.maintenance?.timeZone;
  if (timeZone !== undefined && !isTimeZone(timeZone)) {
    const message = `spec.maintenance.timeZone is no time zone: "${timeZone}"; write one like Europe/Berlin`;
    return [{ type: "Updated", status: "False", reason: "TimeZoneUnknown", message }];
  }
  if (machine === undefined || o.satelliteClass === undefined) {
    return [];
  }
  if (wantedSize(o) === undefined) {
    const { message } = sizeUnknown(o.satellite, o.satelliteClass);
    return [{ type: "Updated", status: "False", reason: SIZE_UNKNOWN, message }];
  }
  const image = pending === undefined ? imageCondition(o, machine, replacement) : undefined;
  if (image !== undefined) {
    return [image];
  }
  if (
    pending === undefined &&
    o.satellite.status.endpoint !== undefined &&
    o.satellite.status.endpoint.tls !== "Required" &&
    o.satelliteClass?.spec.guest.tls === "Required"
  ) {
    const message =
      `machine ${machine.id} was launched without TLS, and its class requires it by now; a machine keeps what was ` +
      "asked of it, so delete the satellite and create it anew to have TLS, or have it replaced by a newer image";
    return [{ type: "Updated", status: "False", reason: "TLSOutdated", message }];
  }
  if (pending === undefined) {
    return [{ type: "Updated", status: "True", reason: "UpToDate", message: "size is as specified" }];
  }
  const { failure } = o.memory;
  return [
    failure?.action === "ChangeType"
      ? { type: "Updated", status: "False", reason: failure.reason, message: failure.message }
      : {
          type: "Updated",
          status: "False",
          reason: "SizeChangePending",
          message:
            `size is ${machine.size ?? "unknown"}; ${pending.name} applies at the next sleep` +
            (o.satellite.spec.maintenance === undefined ? "" : ", in the maintenance window"),
        },
  ];
}

/** What becomes of a machine whose class has another image by now. */
function imageCondition(
  o: Observation,
  machine: NonNullable<Status["machine"]>,
  replacement: Status["replacement"],
): ConditionChange | undefined {
  const not = (reason: string, message: string): ConditionChange => ({
    type: "Updated",
    status: "False",
    reason,
    message,
  });
  if (replacement?.state === "Launching") {
    return not("Replacing", `machine ${machine.id} is being replaced by one from ${replacement.image}`);
  }
  const image = newerImage({
    ...o,
    satellite: { ...o.satellite, status: { ...o.satellite.status, machine } },
  });
  if (image === undefined) {
    return undefined;
  }
  if (replacement?.image === image && replacement.reason !== undefined) {
    const { reason, message = "" } = replacement;
    return not(reason, `the machine keeps its image; replacing it by one from ${image} failed: ${message}`);
  }
  const { failure } = o.memory;
  if (failure?.action === "PlanReplacement") {
    return not(failure.reason, failure.message);
  }
  const versions = `the machine was made from ${machine.image ?? "another image"}, and its class has ${image} by now`;
  if (mayReplace(o)) {
    const when = o.satellite.spec.maintenance === undefined ? "" : ", in the maintenance window";
    return not("ImageUpdatePending", `${versions}; it is replaced while it sleeps${when}`);
  }
  return not(
    "ImageOutdated",
    `${versions}; a machine keeps its image where nothing of it would be kept, so delete the satellite and create it ` +
      "anew, or set spec.imageUpdates: Always in the class, which loses the machine's disk",
  );
}

/** `status.machine` for a machine as the cloud describes it. */
export function machineStatus(
  machine: Machine,
  size: string | undefined,
): NonNullable<SatelliteStatus["machine"]> {
  return {
    id: machine.id,
    type: machine.type,
    ...(size === undefined ? {} : { size }),
    zone: machine.zone,
    image: machine.image,
    launchedAt: machine.launchedAt,
  };
}

/** `status.power` after a move within the same epoch: not yet accepted by the cloud, and since now. */
export function movePower(
  o: Observation,
  state: Power["state"],
  reason: string,
  extra: Pick<Power, "sleepKind"> = {},
): Power {
  const { epoch, fence } = o.satellite.status.power;
  return { state, epoch, fence, accepted: false, reason, since: timestamp(o.now), ...extra };
}
