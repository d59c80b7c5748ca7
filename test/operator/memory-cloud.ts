import type { Clock } from "../../src/base/clock.ts";
import type {
  ClassFacts,
  ClassInspection,
  ClassSpec,
  CloudWords,
  GuestWords,
  LaunchPlan,
  LaunchRequest,
  Machine,
  MachineCloud,
  MachineEvent,
  ResolvedLaunch,
  StateReason,
  Volume,
  VolumePlan,
  VolumeShape,
} from "../../src/machines/cloud.ts";
import { CloudError, type CloudErrorClass } from "../../src/machines/errors.ts";
import { ownerTags, Tag } from "../../src/machines/tags.ts";
import { CloudPool } from "../../src/machines/cloud-pool.ts";
import type { CloudProvider, ConnectionOptions } from "../../src/machines/cloud-provider.ts";
import { CLUSTER, MEMORY_BLOCK, promised } from "./fixtures.ts";

/** Methods of the port. */
export type CloudCall = keyof MachineCloud;

const STOPPING_MS = 2000;
const PENDING_MS = 1000;
const VOLUME_MS = 800;

/** What a class says to this cloud. */
interface MemoryBlock {
  readonly diskGiB: number;
  readonly dataVolume?: VolumeShape;
}

function blockOf(classSpec: ClassSpec): MemoryBlock {
  return classSpec[MEMORY_BLOCK] as MemoryBlock;
}

/** What names its machines: "i-" and a number, or 17 hexadecimal digits. */
const ID = /^i-(?:[1-9]\d*|[0-9a-f]{17})$/;

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/**
 * A cloud behind the operator's port: machines in memory that change state by the clock. It refuses a start
 * while stopping, hibernation that was not asked for at launch, another type while running. What it alone needs of a launch
 * is the rack in which a machine stands.
 */
export class MemoryCloud implements MachineCloud {
  readonly words: CloudWords = {
    name: "the memory",
    support: "its programmer",
    firewall: "the rack's door",
    addressless: { meaning: "as in a rack without cables", advice: "Choose racks with cables in the class" },
  };
  readonly machines = new Map<string, Mutable<Machine>>();
  readonly volumes = new Map<string, Mutable<Volume> & { readonly token: string }>();
  /** Every call, in order, as "call id". */
  readonly calls: string[] = [];
  /** Rack of each machine that was launched, by ID. */
  readonly racks = new Map<string, string>();
  /** The types that machines may have and the zones where they are launched, most preferred first. */
  combinations = ["m7i.xlarge eu-west-1a", "m7a.xlarge eu-west-1a"];
  /** The image that every class chooses. */
  image = "image-1";
  /** What every class comes to. */
  facts: ClassFacts = {
    images: { amd64: "image-1" },
    architectures: ["amd64"],
    details: {},
  };
  /** What the guest of a machine (by ID) has said last on its console. */
  lastWordsOf: (id: string) => GuestWords | undefined = () => undefined;
  hibernated = new Set<string>();
  bootIDs = new Map<string, string>();
  /** Machines get no private IPv4 address. */
  withoutAddress = false;
  /** Machines hang in `stopping`, whatever is done. */
  neverStops = false;
  readonly #clock: Clock;
  #count = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How often a call was made. */
  count(call: CloudCall): number {
    return this.calls.filter((made) => made.split(" ")[0] === call).length;
  }

  /** Makes a call, which takes effect and answers. */
  protected answer<T>(call: CloudCall, id: string | undefined, effect: () => T): Promise<T> {
    this.calls.push(id === undefined ? call : `${call} ${id}`);
    return promised(effect);
  }

  /** Why what is accepted now comes to nothing later. */
  protected fateOf(_call: "launch" | "start"): StateReason | undefined {
    return undefined;
  }

  isMachineID(text: string): boolean {
    return ID.test(text);
  }

  hasDataVolume(classSpec: ClassSpec): boolean {
    return blockOf(classSpec).dataVolume !== undefined;
  }

  diskGiB(classSpec: ClassSpec, details: LaunchPlan["details"] | undefined): number {
    return Number(details?.["diskGiB"] ?? blockOf(classSpec).diskGiB);
  }

  resolve(request: LaunchRequest): Promise<ResolvedLaunch> {
    return this.answer("resolve", undefined, () => {
      const combinations = this.combinations.filter((pair) => pair.endsWith(request.zone ?? ""));
      const [type = "", zone = ""] = (combinations[request.combination % combinations.length] ?? "").split(
        " ",
      );
      const { dataVolume, diskGiB } = blockOf(request.classSpec);
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
        details: { rack: `${zone}/${request.attempt}`, diskGiB: String(diskGiB) },
      };
      return { plan, combinations: combinations.length };
    });
  }

  inspect(_inspection: ClassInspection): Promise<ClassFacts> {
    return this.answer("inspect", undefined, () => structuredClone(this.facts));
  }

  launch(plan: LaunchPlan): Promise<Machine> {
    return this.answer("launch", undefined, () => {
      const known = [...this.machines.values()].find(({ clientToken }) => clientToken === plan.token);
      return structuredClone(known ?? this.#create(plan));
    });
  }

  findLaunched({ token }: LaunchPlan): Promise<Machine | undefined> {
    return this.answer("findLaunched", undefined, () =>
      structuredClone([...this.machines.values()].find(({ clientToken }) => clientToken === token)),
    );
  }

  start(id: string): Promise<void> {
    return this.answer("start", id, () => {
      const machine = this.existing(id);
      if (machine.state === "stopped") {
        if (!this.hibernated.delete(id)) {
          this.bootIDs.set(id, `boot-${++this.#count}`);
        }
        this.#comeUp(machine, "start");
      } else if (machine.state !== "running" && machine.state !== "pending") {
        throw refused("state", "IncorrectState", "start");
      }
    });
  }

  stop(id: string, options: { readonly hibernate: boolean; readonly force: boolean }): Promise<void> {
    return this.answer("stop", id, () => {
      const machine = this.existing(id);
      if (machine.state === "stopping" && options.force && !this.neverStops) {
        machine.state = "stopped";
      }
      if (machine.state === "stopped" || machine.state === "stopping") {
        return;
      }
      if (machine.state !== "running") {
        throw refused("state", "IncorrectState", "stop");
      }
      if (options.hibernate && !machine.hibernationConfigured) {
        throw refused("hibernation-unsupported", "HibernationUnsupported", "stop");
      }
      if (options.hibernate) {
        this.hibernated.add(id);
      }
      this.#transition(machine, "stopping", this.neverStops ? Infinity : STOPPING_MS, "stopped");
    });
  }

  terminate(id: string): Promise<void> {
    return this.answer("terminate", id, () => {
      this.#transition(this.existing(id), "shutting-down", STOPPING_MS, "terminated");
    });
  }

  reboot(id: string): Promise<void> {
    return this.answer("reboot", id, () => {
      if (this.existing(id).state !== "running") {
        throw refused("state", "IncorrectState", "reboot");
      }
      this.bootIDs.set(id, `boot-${++this.#count}`);
    });
  }

  changeType(id: string, type: string): Promise<void> {
    return this.answer("changeType", id, () => {
      const machine = this.existing(id);
      if (machine.state !== "stopped") {
        throw refused("state", "IncorrectState", "changeType");
      }
      if (this.hibernated.has(id)) {
        throw refused("parameter", "InvalidClass", "changeType");
      }
      machine.type = type;
    });
  }

  suitableTypes({ types }: { readonly types: readonly string[] }): Promise<string[]> {
    return this.answer("suitableTypes", undefined, () => [...types]);
  }

  tag(id: string, tags: Readonly<Record<string, string>>): Promise<void> {
    return this.answer("tag", id, () => {
      const tagged = id.startsWith("vol-") ? this.#existingVolume(id) : this.existing(id);
      tagged.tags = { ...tagged.tags, ...tags };
    });
  }

  describe(id: string, _maxAgeMs: number): Promise<Machine | undefined> {
    return this.answer("describe", id, () => structuredClone(this.machines.get(id)));
  }

  forget(): void {}

  lookUp(id: string): Promise<Machine | undefined> {
    return this.answer("lookUp", id, () => structuredClone(this.machines.get(id)));
  }

  list(): Promise<Machine[]> {
    return this.answer("list", undefined, () =>
      structuredClone([...this.machines.values()]).filter(({ tags }) => tags[Tag.cluster] === CLUSTER),
    );
  }

  createVolume(plan: VolumePlan): Promise<Volume> {
    return this.answer("createVolume", undefined, () => {
      const known = [...this.volumes.values()].find(({ token }) => token === plan.token);
      return structuredClone(known ?? this.#makeVolume(plan));
    });
  }

  findVolume({ token }: VolumePlan): Promise<Volume | undefined> {
    return this.answer("findVolume", undefined, () =>
      structuredClone([...this.volumes.values()].find((volume) => volume.token === token)),
    );
  }

  describeVolume(id: string): Promise<Volume | undefined> {
    return this.answer("describeVolume", id, () => structuredClone(this.volumes.get(id)));
  }

  attachVolume(id: string, to: string): Promise<void> {
    return this.answer("attachVolume", id, () => {
      const volume = this.#existingVolume(id);
      const { state, zone } = this.existing(to);
      if (volume.state !== "available") {
        throw refused("state", volume.state === "in-use" ? "VolumeInUse" : "IncorrectState", "attachVolume");
      }
      if ((state !== "running" && state !== "stopped") || this.hibernated.has(to)) {
        throw refused("state", "IncorrectState", "attachVolume");
      }
      if (zone !== volume.zone) {
        throw refused("parameter", "ZoneMismatch", "attachVolume");
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
    return this.answer("detachVolume", id, () => {
      const volume = this.#existingVolume(id);
      if (volume.attachment?.machine !== from) {
        throw refused("state", "IncorrectState", "detachVolume");
      }
      if (this.existing(from).state !== "stopped" || this.hibernated.has(from)) {
        throw new Error(`${id} was to be detached from ${from}, whose guest uses it`);
      }
      this.#release(volume);
    });
  }

  deleteVolume(id: string): Promise<void> {
    return this.answer("deleteVolume", id, () => {
      if (this.volumes.get(id)?.state === "in-use") {
        throw refused("state", "VolumeInUse", "deleteVolume");
      }
      this.volumes.delete(id);
    });
  }

  listVolumes(): Promise<Volume[]> {
    return this.answer("listVolumes", undefined, () =>
      structuredClone([...this.volumes.values()]).filter(({ tags }) => tags[Tag.cluster] === CLUSTER),
    );
  }

  lastWords(id: string): Promise<GuestWords | undefined> {
    return this.answer("lastWords", id, () => this.lastWordsOf(this.existing(id).id));
  }

  events(): Promise<MachineEvent[]> {
    return this.answer("events", undefined, () => []);
  }

  /** The machine, which must exist. @throws CloudError */
  protected existing(id: string): Mutable<Machine> {
    const machine = this.machines.get(id);
    if (machine === undefined) {
      throw refused("gone", "MachineNotFound", "describe");
    }
    return machine;
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
      throw refused("gone", "VolumeNotFound", "describeVolume");
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
    this.racks.set(machine.id, plan.details["rack"] ?? "");
    this.#comeUp(machine, "launch");
    return machine;
  }

  #comeUp(machine: Mutable<Machine>, call: "launch" | "start"): void {
    const fate = this.fateOf(call);
    if (fate === undefined) {
      delete (machine as { stateReason?: unknown }).stateReason;
      this.#transition(machine, "pending", PENDING_MS, "running");
      return;
    }
    machine.stateReason = fate;
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
}

/** An error of this cloud. */
export function refused(errorClass: CloudErrorClass, reason: string, call: CloudCall): CloudError {
  return new CloudError({ code: reason, class: errorClass, reason, message: `${call}: ${reason}` });
}

/** This cloud as one that classes may name. @param cloud what every place of it is */
export function memoryProvider(cloud: MemoryCloud): CloudProvider {
  return { block: MEMORY_BLOCK, placeOf: () => "", connect: () => cloud };
}

/** What an operator has that knows this cloud alone. */
export function memoryPool(cloud: MemoryCloud): CloudPool {
  return new CloudPool([memoryProvider(cloud)], {} as ConnectionOptions);
}
