import { NO_CAPACITY, type Machine } from "../machines/cloud.ts";
import type { Action } from "./action.ts";
import { waitingForRetry } from "./failures.ts";
import { mayUpdateNow } from "./maintenance-window.ts";
import type { Observation } from "./observation.ts";
import type { OperatorSettings } from "./settings.ts";

/** The wished size, with its machine types in order of preference. */
export interface WantedSize {
  readonly name: string;
  readonly types: readonly string[];
}

/** The size that satellite and class ask for; `undefined` when the class has none of that name. */
export function wantedSize({ satellite, satelliteClass }: Observation): WantedSize | undefined {
  const name = satellite.spec.size ?? satelliteClass?.spec.defaultSize;
  const types = name === undefined ? undefined : satelliteClass?.spec.sizes[name]?.types;
  return name === undefined || types === undefined ? undefined : { name, types };
}

/** The wished size, where the machine has another one and only another machine type can change that. */
export function pendingSize(observed: Observation): WantedSize | undefined {
  const wanted = wantedSize(observed);
  const { machine } = observed.satellite.status;
  const isPending =
    wanted !== undefined &&
    machine !== undefined &&
    machine.size !== wanted.name &&
    !wanted.types.includes(machine.type ?? "");
  return isPending ? wanted : undefined;
}

/**
 * The machine's type. After this process has changed it, descriptions may be older than the change (EC2 API reference,
 * "Eventual consistency").
 */
export function currentType(observed: Observation, machine: Machine, settings: OperatorSettings): string {
  const { changed } = observed.memory.type;
  const isFresh = changed !== undefined && observed.nowMs - changed.atMs < settings.settleMs;
  return isFresh ? changed.type : machine.type;
}

/** Whether the stopped machine keeps its memory; then its type cannot change (EC2 user guide, "Hibernate"). */
export function isHibernated(observed: Observation, machine: Machine): boolean {
  const { sleep } = observed.satellite.status;
  return sleep === undefined ? machine.stateReason?.hibernated === true : sleep.kind === "Hibernated";
}

/**
 * Gives a stopped machine the size that is wished. A failure does not keep it from being started as it is.
 *
 * @returns `undefined` when there is nothing to change, or not now
 */
export function applySize(
  observed: Observation,
  machine: Machine,
  settings: OperatorSettings,
): Action | undefined {
  const pending = pendingSize(observed);
  if (
    pending === undefined ||
    !mayUpdateNow(observed.satellite, observed.now) ||
    isHibernated(observed, machine) ||
    pending.types.includes(currentType(observed, machine, settings))
  ) {
    return undefined;
  }
  const waiting = waitingForRetry(observed, "ChangeType");
  if (waiting !== undefined) {
    return observed.satellite.spec.desiredPower === "on" ? undefined : waiting;
  }
  return { kind: "ChangeType", id: machine.id, types: pending.types };
}

/** How long a machine that was refused for want of capacity waits, when its type could not be changed. */
const UNCHANGEABLE_PAUSE_MS = 30_000;

/**
 * What to do before another start of a machine that there was no capacity for, whether the cloud said so at once or after it
 * had accepted the start: change to another type of the same size, each of them once between two pauses. A hibernated machine
 * can only wait.
 *
 * @returns `undefined` when the start is simply repeated after its back-off
 */
export function anotherType(
  observed: Observation,
  machine: Machine,
  settings: OperatorSettings,
): Action | undefined {
  const failure = observed.memory.failures.last;
  const isFixed = observed.memory.type.fixedEpoch === observed.satellite.status.power.epoch;
  if (failure?.action === "ChangeType" && isFixed) {
    const untilMs = Math.min(failure.retryAtMs, failure.atMs + UNCHANGEABLE_PAUSE_MS);
    return untilMs > observed.nowMs
      ? { kind: "Wait", afterMs: untilMs - observed.nowMs, reason: failure.reason }
      : undefined;
  }
  const types = wantedSize(observed)?.types ?? [];
  const type = currentType(observed, machine, settings);
  const next = types.indexOf(type) + 1;
  const others = [...types.slice(next), ...types.slice(0, next)].filter((other) => other !== type);
  const { attempts } = observed.satellite.status;
  const hadNone = attempts?.reason === NO_CAPACITY && attempts.type === type;
  if (failure === undefined && hadNone && others.length > 0 && !isHibernated(observed, machine) && !isFixed) {
    return { kind: "ChangeType", id: machine.id, types: others };
  }
  const isLast = failure === undefined || failure.count % Math.max(1, types.length) === 0;
  if (
    failure?.action !== "Start" ||
    failure.class !== "capacity" ||
    isLast ||
    isHibernated(observed, machine) ||
    isFixed
  ) {
    return undefined;
  }
  if (type !== failure.machineType) {
    return { kind: "Start", id: machine.id };
  }
  return { kind: "ChangeType", id: machine.id, types: others };
}
