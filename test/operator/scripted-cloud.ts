import type { ClassFacts, ClassInspection, Machine, StateReason, Volume } from "../../src/machines/cloud.ts";
import { CloudError } from "../../src/machines/errors.ts";
import { ruleFor } from "../../src/machines/ec2/to-cloud-error.ts";
import { stateReason } from "../../src/machines/ec2/state-reasons.ts";
import { MemoryCloud, type CloudCall } from "./memory-cloud.ts";

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

/** Machines in memory that fail on demand as EC2's do, and whose reads lack what is there. */
export class ScriptedCloud extends MemoryCloud {
  readonly faults: ScriptedFault[] = [];
  /** Instance types that the zone lacks. */
  readonly missingTypes = new Set<string>();
  /** Old descriptions, given to those who take them. */
  readonly remembered = new Map<string, Machine>();
  /** Machines and volumes that reads by ID, or lists, lack although they are there. */
  readonly unseen = { byID: new Set<string>(), inLists: new Set<string>() };
  /** How often a class was to be looked into without believing what was read before. */
  freshInspections = 0;
  readonly #fates: { readonly call: "launch" | "start"; readonly code: string; left: number }[] = [];

  /** Somebody terminates the machine. */
  vanish(id: string): void {
    this.existing(id).state = "terminated";
  }

  /** Makes the next `times` calls fail as EC2 would with that code. */
  fail(call: CloudCall, code: string, times: number, more: Partial<ScriptedFault> = {}): void {
    this.faults.push({ call, error: ec2Error(code, call), times, ...more });
  }

  /** Lets the next `times` launches or starts be accepted and come to nothing, with the StateReason of that code. */
  failLater(call: "launch" | "start", code: string, times: number): void {
    this.#fates.push({ call, code, left: times });
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
    const fate = this.#fates.find((candidate) => candidate.call === call && candidate.left > 0);
    if (fate === undefined) {
      return undefined;
    }
    fate.left -= 1;
    return stateReason(fate.code, "EC2's own words");
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

/** The error that the EC2 cloud makes of a code; "code: message" gives EC2's message too. */
function ec2Error(code: string, call: string): CloudError {
  const [name = "", message = ""] = code.split(": ");
  const rule = ruleFor(name, message, 400);
  return new CloudError({
    code: name,
    class: rule.class,
    reason: rule.reason,
    message: `${call}: ${rule.advice}`,
  });
}
