import {
  NO_CAPACITY,
  type ClassFacts,
  type ClassInspection,
  type Machine,
  type StateReason,
  type Volume,
} from "../../src/machines/cloud.ts";
import type { CloudError, CloudErrorClass } from "../../src/machines/errors.ts";
import { MemoryCloud, refused, type CloudCall } from "./memory-cloud.ts";

/** What this cloud calls each class of failure, in conditions and events. */
export const REASONS: Readonly<Record<CloudErrorClass, string>> = {
  capacity: "InsufficientCapacity",
  throttled: "Throttled",
  "not-sent": "NotLeader",
  state: "IncorrectState",
  gone: "MachineNotFound",
  quota: "QuotaExceeded",
  parameter: "InvalidClass",
  permission: "NotPermitted",
  refused: "Refused",
  protection: "MachineProtected",
  token: "LaunchTokenUsed",
  "hibernation-not-ready": "HibernationNotReady",
  "hibernation-unsupported": "HibernationUnsupported",
  server: "CloudUnavailable",
};

/** What may befall a machine whose launch or start this cloud has accepted, or that runs. */
export const FATES = {
  /** There is no room for it. */
  noCapacity: {
    code: "Rack.Full",
    message: "the memory's own words",
    reason: NO_CAPACITY,
    advice: "add a rack",
    hibernated: false,
  },
  /** The cloud fails. */
  broken: {
    code: "Memory.Broken",
    message: "the memory's own words",
    reason: "MemoryBroken",
    advice: "look at the memory",
    hibernated: false,
  },
  /** Somebody stops it in a way that keeps its memory. */
  hibernated: {
    code: "Person.Hibernated",
    message: "the memory's own words",
    reason: "StoppedOutside",
    advice: "ask who did it",
    hibernated: true,
  },
  /** Its guest shuts itself down. */
  shutDown: {
    code: "Guest.ShutDown",
    message: "the memory's own words",
    reason: "GuestShutDown",
    advice: "look at the guest",
    hibernated: false,
  },
} as const satisfies Readonly<Record<string, StateReason>>;

export type Fate = keyof typeof FATES;

/** A failure on demand. */
export interface ScriptedFault {
  readonly call: CloudCall;
  readonly error: CloudError;
  /** How many calls fail; Infinity: all of them. */
  times: number;
  /** Whether the call takes effect all the same, and only its answer is lost. */
  readonly takesEffect?: boolean;
  /** Only calls about these machines, as they are then. */
  readonly only?: (machine: Machine | undefined) => boolean;
}

/** Machines in memory that fail on demand in the ways that the port knows, and whose reads lack what is there. */
export class ScriptedCloud extends MemoryCloud {
  readonly faults: ScriptedFault[] = [];
  /** Machine types that the zone lacks. */
  readonly missingTypes = new Set<string>();
  /** Old descriptions, given to those who take them. */
  readonly remembered = new Map<string, Machine>();
  /** Machines and volumes that reads by ID, or lists, lack although they are there. */
  readonly unseen = { byID: new Set<string>(), inLists: new Set<string>() };
  /** How often a class was to be looked into without believing what was read before. */
  freshInspections = 0;
  readonly #fates: { readonly call: "launch" | "start"; readonly fate: Fate; left: number }[] = [];

  /** Somebody terminates the machine. */
  vanish(id: string): void {
    this.existing(id).state = "terminated";
  }

  /** Makes the next `times` calls fail with an error of that class. */
  fail(call: CloudCall, errorClass: CloudErrorClass, times: number, more: Partial<ScriptedFault> = {}): void {
    this.faults.push({ call, error: refused(errorClass, REASONS[errorClass], call), times, ...more });
  }

  /** Lets the next `times` launches or starts be accepted and come to nothing, by that fate. */
  failLater(call: "launch" | "start", fate: Fate, times: number): void {
    this.#fates.push({ call, fate, left: times });
  }

  override inspect(inspection: ClassInspection): Promise<ClassFacts> {
    this.freshInspections += inspection.isFresh === true ? 1 : 0;
    return super.inspect(inspection);
  }

  override async suitableTypes(wanted: { readonly types: readonly string[] }): Promise<string[]> {
    const types = await super.suitableTypes(wanted);
    return types.filter((type) => !this.missingTypes.has(type));
  }

  override async describe(id: string, maxAgeMs: number): Promise<Machine | undefined> {
    const machine = await super.describe(id, maxAgeMs);
    const remembered = maxAgeMs > 0 ? this.remembered.get(id) : undefined;
    return this.unseen.byID.has(id) ? undefined : structuredClone(remembered ?? machine);
  }

  override async describeVolume(id: string): Promise<Volume | undefined> {
    const volume = await super.describeVolume(id);
    return this.unseen.byID.has(id) ? undefined : volume;
  }

  override async list(): Promise<Machine[]> {
    const machines = await super.list();
    return machines.filter(({ id }) => !this.unseen.inLists.has(id));
  }

  override forget(): void {
    this.remembered.clear();
  }

  protected override fateOf(call: "launch" | "start"): StateReason | undefined {
    const next = this.#fates.find((candidate) => candidate.call === call && candidate.left > 0);
    if (next === undefined) {
      return undefined;
    }
    next.left -= 1;
    return FATES[next.fate];
  }

  protected override answer<T>(call: CloudCall, id: string | undefined, effect: () => T): Promise<T> {
    const machine = id === undefined ? undefined : this.machines.get(id);
    const fault = this.faults.find(
      (candidate) => candidate.call === call && candidate.times > 0 && (candidate.only?.(machine) ?? true),
    );
    return super.answer(call, id, () => {
      if (fault === undefined) {
        return effect();
      }
      fault.times -= 1;
      if (fault.takesEffect === true) {
        effect();
      }
      throw fault.error;
    });
  }
}
