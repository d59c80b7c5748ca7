import type { Random } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { Ec2ApiError } from "./api-error.ts";
import { Capacity } from "./capacity.ts";
import { checkLaunch, checkRepeated, type LaunchParameters } from "./launch-check.ts";
import type { Hypervisor, InstanceSpec } from "./hypervisor.ts";
import { instanceSpec } from "./instance-spec.ts";
import type { Instance, InstanceState, ScheduledEvent } from "./instance.ts";
import { DEFAULT_INSTANCE_TYPES, type GuestSize, type InstanceType } from "./instance-types.ts";
import { Instances } from "./instances.ts";
import { Lifecycle, type LaunchFailure } from "./lifecycle.ts";
import { ScheduledEvents } from "./scheduled-events.ts";
import { volatileStore, type RecordStore } from "./record-store.ts";
import type { Volume, VolumeScript } from "./volume.ts";
import { Volumes } from "./volumes.ts";
import { Addresses } from "./addresses.ts";
import { defaultNetwork, type Network } from "./network.ts";
import {
  checkChangeType,
  checkHibernate,
  checkReboot,
  checkStart,
  checkStop,
  checkTerminate,
} from "./state-checks.ts";

/** What an account's EC2 in one region is made of. */
export interface Ec2ModelOptions {
  readonly region: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly hypervisor: Hypervisor;
  /** Default: two zones with one subnet each, see {@link defaultNetwork}. */
  readonly network?: Network;
  /** Default: {@link DEFAULT_INSTANCE_TYPES}. */
  readonly instanceTypes?: readonly InstanceType[];
  /** What a guest of a type really gets, where a machine is smaller than EC2's. Default: all of the type. */
  readonly guestSize?: (type: InstanceType, image: string) => GuestSize;
  /** Types that a zone lacks, as `zone/type`. */
  readonly notOffered?: readonly string[];
  /** Names of instance profiles that exist. Default none. */
  readonly instanceProfiles?: readonly string[];
  /** Default: nothing is kept. */
  readonly store?: RecordStore<Instance>;
  /** Default: nothing is kept. */
  readonly volumeStore?: RecordStore<Volume>;
  /** How long changes of volumes take. Default: no time. */
  readonly volumeScript?: Partial<VolumeScript>;
  /** How long the next change of a volume stays hidden from readers, in milliseconds. Default 0. */
  readonly volumeDelayMs?: () => number;
  /** How long the next change stays hidden from readers, in milliseconds. Default 0. */
  readonly visibilityDelayMs?: () => number;
  /** How long after a cold boot hibernation is refused as too early, in milliseconds. Default 0. */
  readonly hibernationReadyAfterMs?: number;
  /**
   * How long memory is kept, in milliseconds. Default 60 days (EC2 user guide, "Hibernate your instance",
   * limitations); EC2 does not say what happens then, so the strictest is assumed: a cold boot, without a word.
   */
  readonly hibernationKeptMs?: number;
}

const DAY_MS = 24 * 3_600_000;

/** As much of a console's output as EC2 keeps. */
const CONSOLE_BYTES = 64 * 1024;

/** ID of the account. */
export const ACCOUNT_ID = "000000000077";

/** Behaviour that can be changed while the model is in use. */
export interface Behaviour {
  /** How long each change stays hidden from readers, in milliseconds, in place of the option of that name. */
  visibilityDelayMs: number | undefined;
  /** How long after a cold boot hibernation is refused as too early, in milliseconds. */
  hibernationReadyAfterMs: number;
}

/** State of an instance before and after an action. */
export interface StateChange {
  readonly id: string;
  readonly previous: InstanceState;
  readonly current: InstanceState;
}

/**
 * One account's EC2 in one region: instances and the rules of the API, with a hypervisor underneath. It
 * follows the documentation of EC2, and takes the stricter reading where that is not clear. Everything except
 * the hypervisor's work happens synchronously, so each call is atomic.
 */
export class Ec2Model {
  readonly region: string;
  readonly network: Network;
  readonly instanceTypes: readonly InstanceType[];
  readonly instances: Instances;
  readonly volumes: Volumes;
  readonly capacity = new Capacity();
  readonly behaviour: Behaviour;
  readonly #options: Ec2ModelOptions;
  readonly #lifecycle: Lifecycle;
  readonly #events: ScheduledEvents;
  readonly #addresses: Addresses;

  constructor(options: Ec2ModelOptions) {
    this.#options = options;
    this.region = options.region;
    this.network = options.network ?? defaultNetwork(options.region);
    this.instanceTypes = options.instanceTypes ?? DEFAULT_INSTANCE_TYPES;
    this.behaviour = {
      visibilityDelayMs: undefined,
      hibernationReadyAfterMs: options.hibernationReadyAfterMs ?? 0,
    };
    this.instances = new Instances(
      options.clock,
      options.store ?? volatileStore(),
      () => this.behaviour.visibilityDelayMs ?? options.visibilityDelayMs?.() ?? 0,
    );
    this.#lifecycle = new Lifecycle({
      clock: options.clock,
      logger: options.logger,
      hypervisor: options.hypervisor,
      instances: this.instances,
      specOf: (instance) => this.#specOf(instance),
      hibernationKeptMs: options.hibernationKeptMs ?? 60 * DAY_MS,
    });
    this.volumes = new Volumes({
      clock: options.clock,
      logger: options.logger,
      hypervisor: options.hypervisor,
      instances: this.instances,
      store: options.volumeStore ?? volatileStore(),
      visibilityDelayMs: () => this.behaviour.visibilityDelayMs ?? options.volumeDelayMs?.() ?? 0,
      script: { createMs: 0, attachMs: 0, detachMs: 0, ...options.volumeScript },
      newId: () => this.newId("vol"),
    });
    this.#events = new ScheduledEvents(options.clock, this.instances, this.#lifecycle);
    this.#addresses = new Addresses(this.network, this.instances.truths());
  }

  /** Carries on what was under way before a restart; call it once before the first request. */
  async restore(): Promise<void> {
    await this.#lifecycle.reconcile();
    this.volumes.restore();
  }

  /** Names of the instance profiles that there are. */
  get instanceProfiles(): readonly string[] {
    return this.#options.instanceProfiles ?? [];
  }

  /** Images that instances can boot. */
  get images(): ReturnType<Hypervisor["images"]> {
    return this.#options.hypervisor.images();
  }

  /** @throws Ec2ApiError `InvalidInstanceType` */
  instanceType(name: string): InstanceType {
    const type = this.instanceTypes.find((candidate) => candidate.name === name);
    if (type === undefined) {
      throw new Ec2ApiError(
        "InvalidInstanceType",
        `The following supplied instance types do not exist: [${name}]`,
      );
    }
    return type;
  }

  /** Whether `zone` has `type` at all. */
  isOffered(zone: string, type: string): boolean {
    return this.#options.notOffered?.includes(`${zone}/${type}`) !== true;
  }

  /**
   * Launches one instance, or returns the one that the same token launched in the same zone
   * (EC2 developer guide, "Ensuring idempotency").
   *
   * @throws Ec2ApiError `IdempotentParameterMismatch`, `IdempotentInstanceTerminated`, and whatever
   *   {@link checkLaunch}, quota and capacity have against it
   */
  run(parameters: LaunchParameters): Instance {
    const { subnet, image, type } = checkLaunch(this, parameters);
    const known =
      parameters.clientToken === undefined
        ? undefined
        : this.instances.byToken(subnet.zone, parameters.clientToken);
    if (known !== undefined) {
      checkRepeated(known, parameters);
      return known;
    }
    this.#checkCapacity([{ zone: subnet.zone, type: type.name }]);
    const { requestHash, clientToken, instanceProfile, volume, volumeTags, ...given } = parameters;
    const instance: Instance = {
      ...given,
      id: this.newId("i"),
      reservationId: this.newId("r"),
      ...(clientToken === undefined ? {} : { clientToken }),
      ...(instanceProfile === undefined ? {} : { instanceProfile }),
      requestHash,
      state: "pending",
      transition: 0,
      transitionReason: "",
      architecture: image.architecture,
      zone: subnet.zone,
      privateAddress: this.#addresses.take(subnet.id, this.instances.truths()),
      launchTime: this.#options.clock.now().toISOString(),
      volume: { ...volume, id: this.newId("vol"), tags: volumeTags },
      events: [],
    };
    this.instances.put(instance);
    this.#lifecycle.launch(instance);
    return instance;
  }

  /** Makes the launch or start that begins next fail after it was accepted. */
  failNext(failure: LaunchFailure): void {
    this.#lifecycle.failNext(failure);
  }

  /**
   * Starts stopped instances, all or none; those that run already are left alone.
   *
   * @throws Ec2ApiError `IncorrectInstanceState`, and what quota and capacity have against it
   */
  start(ids: readonly string[]): StateChange[] {
    const found = this.#forChange(ids);
    found.forEach(checkStart);
    const stopped = found.filter(({ state }) => state === "stopped");
    this.#checkCapacity(stopped);
    return found.map((instance) => {
      if (instance.state !== "stopped") {
        return changed(instance, instance);
      }
      this.#events.complete(instance.id);
      return changed(instance, this.#lifecycle.start(instance.id));
    });
  }

  /**
   * Stops or hibernates running instances, all or none; stopped ones are left alone. `force` also ends a
   * stop that is under way.
   *
   * @throws Ec2ApiError `IncorrectInstanceState`, `UnsupportedHibernationConfiguration`,
   *   `UnsupportedOperation` while it is too early to hibernate, `OperationNotPermitted`
   */
  stop(
    ids: readonly string[],
    options: { readonly hibernate: boolean; readonly force: boolean },
  ): StateChange[] {
    const found = this.#forChange(ids);
    for (const instance of found) {
      checkStop(instance);
      if (options.hibernate) {
        checkHibernate(instance, this.#options.clock.now(), this.behaviour.hibernationReadyAfterMs);
      }
    }
    return found.map((instance) => {
      if (instance.state === "running") {
        return changed(instance, this.#lifecycle.stop(instance.id, options));
      }
      if (instance.state === "stopping" && options.force) {
        this.#lifecycle.force(instance.id);
      }
      return changed(instance, instance);
    });
  }

  /**
   * Terminates instances, all or none; terminated ones are left alone.
   *
   * @throws Ec2ApiError `OperationNotPermitted` for one that is protected
   */
  terminate(ids: readonly string[]): StateChange[] {
    const found = this.#forChange(ids);
    found.forEach(checkTerminate);
    return found.map((instance) =>
      instance.state === "terminated" || instance.state === "shutting-down"
        ? changed(instance, instance)
        : changed(instance, this.#lifecycle.terminate(instance.id)),
    );
  }

  /** @throws Ec2ApiError `InvalidInstanceID.NotFound` or `.Malformed` unless all of them are there */
  checkThere(ids: readonly string[]): void {
    this.#forChange(ids);
  }

  /** @throws Ec2ApiError `IncorrectState` unless all of them run */
  reboot(ids: readonly string[]): void {
    const found = this.#forChange(ids);
    found.forEach(checkReboot);
    for (const { id } of found) {
      this.#events.complete(id, (code) => code === "instance-reboot");
      this.#lifecycle.reboot(id);
    }
  }

  /**
   * The newest output of an instance's console, 64 KB at most (EC2 API reference, "GetConsoleOutput").
   *
   * @throws Ec2ApiError `InvalidInstanceID.NotFound`, `InvalidInstanceID.Malformed`
   */
  async consoleOutput(id: string): Promise<{ readonly output: Buffer; readonly readAt: Date }> {
    this.instances.lookUp([id]);
    const { hypervisor, clock } = this.#options;
    return { output: await hypervisor.consoleTail(id, CONSOLE_BYTES), readAt: clock.now() };
  }

  /** Adds or overwrites tags of instances (by `i-…`) and volumes (by `vol-…`). */
  tag(resources: readonly string[], tags: Readonly<Record<string, string>>): void {
    const roots = new Map(this.instances.truths().map((instance) => [instance.volume.id, instance.id]));
    const [volumes, ids] = [
      resources.filter((resource) => resource.startsWith("vol-")),
      resources.filter((resource) => !resource.startsWith("vol-")),
    ];
    const data = volumes.filter((id) => !roots.has(id));
    this.volumes.lookUp(data);
    for (const { id } of this.#forChange(ids)) {
      this.instances.change(id, { tags: { ...this.instances.truth(id).tags, ...tags } });
    }
    for (const id of data) {
      this.volumes.tag(id, tags);
    }
    for (const id of volumes.flatMap((volume) => roots.get(volume) ?? [])) {
      const { volume } = this.instances.truth(id);
      this.instances.change(id, { volume: { ...volume, tags: { ...volume.tags, ...tags } } });
    }
  }

  /**
   * Changes the type of a stopped instance (EC2 user guide, "Change the instance type").
   *
   * @throws Ec2ApiError `IncorrectInstanceState` unless it is stopped, `UnsupportedOperation` while it is
   *   hibernated or when the architectures differ
   */
  async changeType(id: string, typeName: string): Promise<void> {
    const [instance] = this.#forChange([id]);
    const type = this.instanceType(typeName);
    checkChangeType(id, instance, type);
    if ((await this.#options.hypervisor.state(id)) === "hibernated") {
      throw new Ec2ApiError(
        "UnsupportedOperation",
        `The type of ${id} cannot be changed while it is hibernated`,
      );
    }
    this.instances.change(id, { type: typeName });
  }

  /** Sets or lifts the protection of an instance against stop or termination. */
  protect(id: string, protection: Partial<Pick<Instance, "disableApiStop" | "disableApiTermination">>): void {
    this.#forChange([id]);
    this.instances.change(id, protection);
  }

  /** Announces an event for an instance, such as its retirement. */
  schedule(id: string, event: Omit<ScheduledEvent, "id">): void {
    this.#events.schedule(id, { id: this.newId("instance-event"), ...event });
  }

  /** Resolves when the hypervisor has nothing under way. */
  settled(): Promise<void> {
    return this.#lifecycle.settled();
  }

  /** Ends the model; VMs stay as they are. */
  close(): void {
    this.#events.close();
    this.volumes.close();
    this.#lifecycle.close();
  }

  /** A new identifier as EC2 forms them: a prefix and 17 hexadecimal digits. */
  newId(prefix: string): string {
    const digits = Array.from({ length: 17 }, () => Math.floor(this.#options.random() * 16).toString(16));
    return `${prefix}-${digits.join("")}`;
  }

  /** The true records of instances that callers can see. */
  #forChange(ids: readonly string[]): Instance[] {
    return this.instances.lookUp(ids).map(({ id }) => this.instances.truth(id));
  }

  #checkCapacity(wanted: readonly { readonly zone: string; readonly type: string }[]): void {
    this.capacity.check(this.instances.truths(), wanted, (type) => this.instanceType(type).vcpus);
  }

  #specOf(instance: Instance): InstanceSpec {
    const type = this.instanceType(instance.type);
    return instanceSpec(instance, this.#options.guestSize?.(type, instance.image) ?? type, this.region);
  }
}

function changed(before: Instance, after: Instance): StateChange {
  return { id: before.id, previous: before.state, current: after.state };
}
