import type { Clock } from "../../src/base/clock.ts";
import type {
  ClassFacts,
  ClassInspection,
  LaunchPlan,
  LaunchRequest,
  Machine,
  MachineCloud,
  MachineEvent,
  Volume,
  VolumePlan,
  ResolvedLaunch,
} from "../../src/machines/cloud.ts";
import { CloudError } from "../../src/machines/errors.ts";
import { ruleFor } from "../../src/machines/ec2/error-table.ts";
import { stateReason } from "../../src/machines/ec2/state-reasons.ts";
import { ownerTags, Tag } from "../../src/machines/tags.ts";
import { CLUSTER, promised } from "./fixtures.ts";

/** Methods of the port that can be told to fail. */
export type CloudCall = keyof MachineCloud;

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

const STOPPING_MS = 2000;
const PENDING_MS = 1000;
const VOLUME_MS = 800;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/**
 * Machines that change state by the clock, behind the operator's port, with failures on demand. It refuses what
 * EC2 refuses: a start while stopping, hibernation that was not asked for at launch, another type while running.
 */
export class ScriptedCloud implements MachineCloud {
  readonly machines = new Map<string, Mutable<Machine>>();
  readonly volumes = new Map<string, Mutable<Volume> & { readonly token: string }>();
  readonly faults: ScriptedFault[] = [];
  /** Every call, in order, as "call id". */
  readonly calls: string[] = [];
  /** Instance types that exist where machines are launched. */
  combinations = ["m7i.xlarge eu-west-1a", "m7a.xlarge eu-west-1a"];
  /** The image that every class chooses. */
  image = "ami-1";
  /** What every class comes to. */
  facts: ClassFacts = {
    images: { amd64: "ami-1" },
    subnets: ["subnet-1"],
    securityGroups: ["sg-1"],
    architectures: ["amd64"],
  };
  /** Instance types that the zone lacks. */
  readonly missingTypes = new Set<string>();
  /** Old descriptions, given to those who take them. */
  readonly remembered = new Map<string, Machine>();
  /** Machines and volumes that reads by ID, or lists, lack although they are there. */
  readonly unseen = { byID: new Set<string>(), inLists: new Set<string>() };
  hibernated = new Set<string>();
  bootIDs = new Map<string, string>();
  readonly #clock: Clock;
  readonly #fates: { readonly call: "launch" | "start"; readonly code: string; left: number }[] = [];
  #count = 0;

  /** Machines get no private IPv4 address. */
  withoutAddress = false;

  /** How often a class was to be looked into without believing what was read before. */
  freshInspections = 0;
  /** Machines hang in `stopping`, whatever is done. */
  neverStops = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Somebody terminates the machine. */
  vanish(id: string): void {
    this.#existing(id).state = "terminated";
  }

  /** How often a call was made. */
  count(call: CloudCall): number {
    return this.calls.filter((made) => made.split(" ")[0] === call).length;
  }

  /** Makes the next `times` calls fail as EC2 would with that code. */
  fail(call: CloudCall, code: string, times: number, more: Partial<ScriptedFault> = {}): void {
    this.faults.push({ call, error: ec2Error(code, call), times, ...more });
  }

  /** Lets the next `times` launches or starts be accepted and come to nothing, with the StateReason of that code. */
  failLater(call: "launch" | "start", code: string, times: number): void {
    this.#fates.push({ call, code, left: times });
  }

  resolve(request: LaunchRequest): Promise<ResolvedLaunch> {
    return this.#answer("resolve", undefined, () => {
      const combinations = this.combinations.filter((pair) => pair.endsWith(request.zone ?? ""));
      const [type = "", zone = ""] = (combinations[request.combination % combinations.length] ?? "").split(
        " ",
      );
      const { dataVolume } = request.cloud as { dataVolume?: NonNullable<LaunchPlan["dataVolume"]> };
      const plan: LaunchPlan = {
        attempt: request.attempt,
        token: `${request.owner.uid}/${request.attempt}/${zone}/${type}`,
        type,
        zone,
        image: this.image,
        hibernate: request.hibernate,
        ...(dataVolume === undefined ? {} : { dataVolume }),
        userDataHash: "hash",
        tags: ownerTags(CLUSTER, request.owner),
        details: { rack: zone },
      };
      return { plan, combinations: combinations.length };
    });
  }

  inspect({ isFresh }: ClassInspection): Promise<ClassFacts> {
    this.freshInspections += isFresh === true ? 1 : 0;
    return this.#answer("inspect", undefined, () => structuredClone(this.facts));
  }

  launch(plan: LaunchPlan): Promise<Machine> {
    return this.#answer("launch", undefined, () => {
      const known = [...this.machines.values()].find(({ clientToken }) => clientToken === plan.token);
      return structuredClone(known ?? this.#create(plan));
    });
  }

  findLaunched({ token }: LaunchPlan): Promise<Machine | undefined> {
    return this.#answer("findLaunched", undefined, () =>
      structuredClone([...this.machines.values()].find(({ clientToken }) => clientToken === token)),
    );
  }

  start(id: string): Promise<void> {
    return this.#answer("start", id, () => {
      const machine = this.#existing(id);
      if (machine.state === "stopped") {
        if (!this.hibernated.delete(id)) {
          this.bootIDs.set(id, `boot-${++this.#count}`);
        }
        this.#comeUp(machine, "start");
      } else if (machine.state !== "running" && machine.state !== "pending") {
        throw ec2Error("IncorrectInstanceState", "start");
      }
    });
  }

  stop(id: string, options: { readonly hibernate: boolean; readonly force: boolean }): Promise<void> {
    return this.#answer("stop", id, () => {
      const machine = this.#existing(id);
      if (machine.state === "stopping" && options.force && !this.neverStops) {
        machine.state = "stopped";
      }
      if (machine.state === "stopped" || machine.state === "stopping") {
        return;
      }
      if (machine.state !== "running") {
        throw ec2Error("IncorrectInstanceState", "stop");
      }
      if (options.hibernate && !machine.hibernationConfigured) {
        throw ec2Error("UnsupportedHibernationConfiguration", "stop");
      }
      if (options.hibernate) {
        this.hibernated.add(id);
      }
      this.#transition(machine, "stopping", this.neverStops ? Infinity : STOPPING_MS, "stopped");
    });
  }

  terminate(id: string): Promise<void> {
    return this.#answer("terminate", id, () => {
      this.#transition(this.#existing(id), "shutting-down", STOPPING_MS, "terminated");
    });
  }

  reboot(id: string): Promise<void> {
    return this.#answer("reboot", id, () => {
      if (this.#existing(id).state !== "running") {
        throw ec2Error("IncorrectInstanceState", "reboot");
      }
      this.bootIDs.set(id, `boot-${++this.#count}`);
    });
  }

  changeType(id: string, type: string): Promise<void> {
    return this.#answer("changeType", id, () => {
      const machine = this.#existing(id);
      if (machine.state !== "stopped") {
        throw ec2Error("IncorrectInstanceState", "changeType");
      }
      if (this.hibernated.has(id)) {
        throw ec2Error("UnsupportedOperation", "changeType");
      }
      machine.type = type;
    });
  }

  suitableTypes({ types }: { readonly types: readonly string[] }): Promise<string[]> {
    return this.#answer("suitableTypes", undefined, () =>
      types.filter((type) => !this.missingTypes.has(type)),
    );
  }

  tag(id: string, tags: Readonly<Record<string, string>>): Promise<void> {
    return this.#answer("tag", id, () => {
      const tagged = id.startsWith("vol-") ? this.#existingVolume(id) : this.#existing(id);
      tagged.tags = { ...tagged.tags, ...tags };
    });
  }

  describe(id: string, maxAgeMs: number): Promise<Machine | undefined> {
    const remembered = maxAgeMs > 0 ? this.remembered.get(id) : undefined;
    return this.#answer("describe", id, () =>
      this.unseen.byID.has(id) ? undefined : structuredClone(remembered ?? this.machines.get(id)),
    );
  }

  forget(): void {
    this.remembered.clear();
  }

  lookUp(id: string): Promise<Machine | undefined> {
    return this.#answer("lookUp", id, () => structuredClone(this.machines.get(id)));
  }

  list(): Promise<Machine[]> {
    return this.#answer("list", undefined, () =>
      structuredClone([...this.machines.values()]).filter(
        ({ id, tags }) => tags[Tag.cluster] === CLUSTER && !this.unseen.inLists.has(id),
      ),
    );
  }

  createVolume(plan: VolumePlan): Promise<Volume> {
    return this.#answer("createVolume", undefined, () => {
      const known = [...this.volumes.values()].find(({ token }) => token === plan.token);
      return structuredClone(known ?? this.#makeVolume(plan));
    });
  }

  findVolume({ token }: VolumePlan): Promise<Volume | undefined> {
    return this.#answer("findVolume", undefined, () =>
      structuredClone([...this.volumes.values()].find((volume) => volume.token === token)),
    );
  }

  describeVolume(id: string): Promise<Volume | undefined> {
    return this.#answer("describeVolume", id, () =>
      this.unseen.byID.has(id) ? undefined : structuredClone(this.volumes.get(id)),
    );
  }

  attachVolume(id: string, to: string): Promise<void> {
    return this.#answer("attachVolume", id, () => {
      const volume = this.#existingVolume(id);
      const { state, zone } = this.#existing(to);
      if (volume.state !== "available") {
        throw ec2Error(volume.state === "in-use" ? "VolumeInUse" : "IncorrectState", "attachVolume");
      }
      if ((state !== "running" && state !== "stopped") || this.hibernated.has(to)) {
        throw ec2Error("IncorrectState", "attachVolume");
      }
      if (zone !== volume.zone) {
        throw ec2Error("InvalidVolume.ZoneMismatch", "attachVolume");
      }
      volume.state = "in-use";
      volume.attachment = { machine: to, state: "attaching" };
      this.#showVolumes();
      this.#clock.setTimer(VOLUME_MS, () => {
        if (volume.attachment?.machine === to) {
          volume.attachment = { machine: to, state: "attached" };
        }
      });
    });
  }

  detachVolume(id: string, from: string): Promise<void> {
    return this.#answer("detachVolume", id, () => {
      const volume = this.#existingVolume(id);
      if (volume.attachment?.machine !== from) {
        throw ec2Error("IncorrectState", "detachVolume");
      }
      if (this.#existing(from).state !== "stopped" || this.hibernated.has(from)) {
        throw new Error(`${id} was to be detached from ${from}, whose guest uses it`);
      }
      this.#release(volume);
    });
  }

  deleteVolume(id: string): Promise<void> {
    return this.#answer("deleteVolume", id, () => {
      if (this.volumes.get(id)?.state === "in-use") {
        throw ec2Error("VolumeInUse", "deleteVolume");
      }
      this.volumes.delete(id);
    });
  }

  listVolumes(): Promise<Volume[]> {
    return this.#answer("listVolumes", undefined, () =>
      structuredClone([...this.volumes.values()]).filter(({ tags }) => tags[Tag.cluster] === CLUSTER),
    );
  }

  #makeVolume({ token, zone, tags }: VolumePlan): Volume {
    const volume: Mutable<Volume> & { readonly token: string } = {
      id: `vol-${++this.#count}`,
      state: "creating",
      zone,
      createdAt: this.#clock.now().toISOString(),
      tags: { ...tags },
      token,
    };
    this.volumes.set(volume.id, volume);
    this.#clock.setTimer(VOLUME_MS, () => {
      volume.state = "available";
    });
    return volume;
  }

  #existingVolume(id: string): Mutable<Volume> {
    const volume = this.volumes.get(id);
    if (volume === undefined) {
      throw ec2Error("InvalidVolume.NotFound", "describeVolume");
    }
    return volume;
  }

  /** Takes a volume from its machine, in the cloud's time. */
  #release(volume: Mutable<Volume>): void {
    volume.attachment = { machine: volume.attachment?.machine ?? "", state: "detaching" };
    this.#showVolumes();
    this.#clock.setTimer(VOLUME_MS, () => {
      delete (volume as { attachment?: unknown }).attachment;
      volume.state = "available";
    });
  }

  /** Machines show what is attached to them. */
  #showVolumes(): void {
    for (const machine of this.machines.values()) {
      machine.volumes = [...this.volumes.values()].flatMap(({ id, attachment }) =>
        attachment?.machine === machine.id && attachment.state.startsWith("attach") ? [id] : [],
      );
    }
  }

  events(): Promise<MachineEvent[]> {
    return this.#answer("events", undefined, () => []);
  }

  #create(plan: LaunchPlan): Machine {
    const number = ++this.#count;
    const machine: Mutable<Machine> = {
      id: `i-${number}`,
      state: "pending",
      type: plan.type,
      zone: plan.zone,
      image: plan.image,
      ...(this.withoutAddress ? {} : { address: `10.0.0.${number}` }),
      launchedAt: this.#clock.now().toISOString(),
      hibernationConfigured: plan.hibernate,
      volumes: [],
      clientToken: plan.token,
      tags: { ...plan.tags },
    };
    this.machines.set(machine.id, machine);
    this.bootIDs.set(machine.id, `boot-${number}`);
    this.#comeUp(machine, "launch");
    return machine;
  }

  #comeUp(machine: Mutable<Machine>, call: "launch" | "start"): void {
    const fate = this.#fates.find((candidate) => candidate.call === call && candidate.left > 0);
    if (fate === undefined) {
      delete (machine as { stateReason?: unknown }).stateReason;
      this.#transition(machine, "pending", PENDING_MS, "running");
      return;
    }
    fate.left -= 1;
    machine.stateReason = stateReason(fate.code, "EC2's own words");
    this.#transition(machine, "pending", PENDING_MS, call === "launch" ? "terminated" : "stopped");
  }

  #transition(
    machine: Mutable<Machine>,
    by: Machine["state"],
    durationMs: number,
    to: Machine["state"],
  ): void {
    machine.state = by;
    this.#clock.setTimer(durationMs, () => {
      if (machine.state === by) {
        machine.state = to;
      }
      for (const volume of this.volumes.values()) {
        if (machine.state === "terminated" && volume.attachment?.machine === machine.id) {
          this.#release(volume);
        }
      }
    });
  }

  #existing(id: string): Mutable<Machine> {
    const machine = this.machines.get(id);
    if (machine === undefined) {
      throw ec2Error("InvalidInstanceID.NotFound", "describe");
    }
    return machine;
  }

  #answer<T>(call: CloudCall, id: string | undefined, effect: () => T): Promise<T> {
    this.calls.push(id === undefined ? call : `${call} ${id}`);
    const machine = id === undefined ? undefined : this.machines.get(id);
    const fault = this.faults.find(
      (candidate) => candidate.call === call && candidate.times > 0 && (candidate.only?.(machine) ?? true),
    );
    return promised(() => {
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
export function ec2Error(code: string, call: string): CloudError {
  const [name = "", message = ""] = code.split(": ");
  const rule = ruleFor(name, message, 400);
  return new CloudError({
    code: name,
    class: rule.class,
    reason: rule.reason,
    message: `${call}: ${rule.advice}`,
  });
}
