import type { Machine } from "../machines/cloud.ts";
import { timestamp, withProgress } from "../satellite/conditions.ts";
import { phaseOf } from "../satellite/phase.ts";
import type { Condition, Hibernation, Power, SatelliteStatus, Unready } from "../satellite/resource.ts";
import type { OperatorStatus } from "../satellite/status-patch.ts";
import type { ActionKind } from "./action.ts";
import { attemptsNeedPerson, countingAttempts } from "./attempts.ts";
import { renderConditions } from "./conditions/table.ts";
import { healthAfter, hibernationAfter, healthNeedsPerson } from "./health.ts";
import type { Blocker } from "./blocker.ts";
import type { Observation } from "./observation.ts";
import { unreadyOf } from "./older-status.ts";
import { wantedSize } from "./size.ts";
import { withBuildkit } from "./told-by-buildkit.ts";
import { presentEndpoint } from "./vm-key.ts";

type StatusMachine = NonNullable<SatelliteStatus["machine"]>;

/** Fields of the status that a step sets; the others are derived. */
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
  readonly health?: SatelliteStatus["health"] | undefined;
  readonly recoveries?: SatelliteStatus["recoveries"] | undefined;
  /** `machine.hibernation`, where the step has found out about it. */
  readonly hibernation?: Hibernation;
}

/**
 * The whole status after a step, from what was observed and what the step changes. A field that `change` has as `undefined`
 * is removed. Conditions are made from the fields, never from conditions.
 *
 * @param late what is waited for, where that takes long
 */
export function renderStatus(
  observed: Observation,
  change: StatusChange = {},
  late?: Blocker,
): OperatorStatus {
  const { satellite } = observed;
  const { hibernation, ...fields } = change;
  const changed = { ...satellite.status, ...fields };
  const attempts = countingAttempts(observed, changed);
  const { power, machine } = changed;
  const status = {
    ...changed,
    attempts,
    health: "health" in change ? change.health : healthAfter(observed, { power, attempts }),
    machine: machine === undefined ? undefined : describedMachine(observed, power, machine, hibernation),
    endpoint: changed.endpoint === undefined ? undefined : presentEndpoint(observed, changed.endpoint),
  };
  const generation = satellite.metadata.generation ?? 0;
  const conditions = renderConditions({ observed, status, late }, generation);
  const failure = observed.memory.failures.last;
  // Of one that sleeps as it should, nothing keeps it from that: what made its last start fail is said again at the next.
  const isOffAsWished = satellite.spec.desiredPower === "off" && power.state === "Off";
  const failed =
    (failure?.terminal === true && !isOffAsWished && !isBeside(failure.action, machine !== undefined)) ||
    (satellite.spec.desiredPower === "on" && attemptsNeedPerson(status)) ||
    healthNeedsPerson(status.health);
  const facts = {
    deleting: satellite.metadata.deletionTimestamp !== undefined,
    failed,
    desiredPower: satellite.spec.desiredPower,
    power,
    hasMachine: machine !== undefined,
  };
  return {
    phase: phaseOf(facts),
    observedGeneration: generation,
    power,
    machine: status.machine,
    endpoint: status.endpoint,
    sleep: status.sleep,
    launch: status.launch,
    attempts,
    volume: status.volume,
    replacement: status.replacement,
    retired: status.retired,
    usage: status.usage,
    health: status.health,
    recoveries: status.recoveries,
    unready: unreadyAfter(observed, conditions, failed),
    conditions: withProgress(conditions, failed, observed.now, generation),
  };
}

/** Actions whose failure does not keep a satellite from its work. */
const SIDE_ACTIONS: ReadonlySet<string> = new Set<ActionKind>(["Claim", "ChangeType", "PlanReplacement"]);

/** Whether the satellite works although the action failed; a launch is such an action where it was to replace a machine. */
function isBeside(action: string, hasMachine: boolean): boolean {
  return SIDE_ACTIONS.has(action) || (action === "Launch" && hasMachine);
}

/**
 * `status.machine` with the type that the machine has now, the size that it belongs to, and what is known of hibernation.
 */
function describedMachine(
  observed: Observation,
  power: Power,
  { hibernation: _before, ...machine }: StatusMachine,
  found: Hibernation | undefined,
): StatusMachine {
  const type = observed.machine?.id === machine.id ? observed.machine.type : machine.type;
  const wanted = wantedSize(observed);
  const size = type !== undefined && wanted?.types.includes(type) === true ? wanted.name : machine.size;
  const hibernation = found ?? hibernationAfter(observed, power, machine.id);
  return {
    ...withBuildkit(observed, machine),
    ...(type === undefined ? {} : { type }),
    ...(size === undefined ? {} : { size }),
    ...(hibernation === undefined ? {} : { hibernation }),
  };
}

/** `status.unready`: since when Ready has not been True. */
function unreadyAfter(
  { satellite, now }: Observation,
  conditions: readonly Condition[],
  needsPerson: boolean,
): Unready | undefined {
  const isReady = conditions.some(({ type, status }) => type === "Ready" && status === "True");
  return isReady
    ? undefined
    : {
        since: unreadyOf(satellite.status)?.since ?? timestamp(now),
        ...(needsPerson ? { needsPerson } : {}),
      };
}

/** `status.machine` for a machine as the cloud describes it. */
export function machineStatus(machine: Machine, size: string | undefined): StatusMachine {
  return {
    id: machine.id,
    type: machine.type,
    ...(size === undefined ? {} : { size }),
    zone: machine.zone,
    image: machine.image,
    launchedAt: machine.launchedAt,
  };
}

/** `status.power` in another state of the same epoch: from now on, and not yet accepted by the cloud. */
export function movePower(
  observed: Observation,
  state: Power["state"],
  reason: string,
  extra: Pick<Power, "sleepKind"> = {},
): Power {
  const { epoch, fence } = observed.satellite.status.power;
  return { state, epoch, fence, accepted: false, reason, since: timestamp(observed.now), ...extra };
}
