import type { Clock } from "../../base/clock.ts";
import { toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { Ec2ApiError, invalidValue } from "./api-error.ts";
import type { Hypervisor } from "./hypervisor.ts";
import type { Instance } from "./instance.ts";
import type { Instances } from "./instances.ts";
import type { RecordStore } from "./record-store.ts";
import { Records, type RecordKind } from "./records.ts";
import type { Volume, VolumeScript } from "./volume.ts";

const ID = /^vol-(?:[0-9a-f]{8}|[0-9a-f]{17})$/;

const KIND: RecordKind<Volume> = {
  tokenOf: ({ clientToken }) => clientToken,
  goneSince: ({ deletedAt }) => deletedAt,
  notFound: (ids) =>
    new Ec2ApiError(
      "InvalidVolume.NotFound",
      ids.length === 1
        ? `The volume '${ids[0]}' does not exist.`
        : `The volumes '${ids.join(", ")}' do not exist.`,
    ),
};

/** What the volumes of an account are made of. */
export interface VolumesOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly hypervisor: Hypervisor;
  readonly instances: Instances;
  readonly store: RecordStore<Volume>;
  /** How long the next change of a volume stays hidden from readers. */
  readonly visibilityDelayMs: () => number;
  readonly script: VolumeScript;
  readonly newId: () => string;
}

/** What a CreateVolume request asks for. */
export type VolumeParameters = Omit<Volume, "id" | "state" | "createdAt" | "attachment" | "deletedAt">;

/**
 * All data volumes of the account and their states (EC2 user guide, "EBS volume lifecycle"): `creating`, then
 * `available`; `in-use` from the request to attach it until it is detached. A volume is in one zone and on one
 * instance at a time. One that a running guest may have mounted is not detached until the instance has stopped.
 */
export class Volumes {
  readonly #options: VolumesOptions;
  readonly #records: Records<Volume>;
  #closed = false;

  constructor(options: VolumesOptions) {
    this.#options = options;
    this.#records = new Records(options.clock, options.store, options.visibilityDelayMs, KIND, () => 0);
    options.instances.onChange = (instance) => this.#onInstance(instance);
  }

  /** Carries on what was under way before a restart. */
  restore(): void {
    for (const volume of this.truths()) {
      this.#continue(volume);
    }
  }

  close(): void {
    this.#closed = true;
  }

  /** All that exist, visible or not. */
  truths(): Volume[] {
    return this.#records.all().filter(isThere);
  }

  /** What readers see now, oldest first. */
  visible(): Volume[] {
    return this.#records.visible().filter(isThere);
  }

  /** @throws Ec2ApiError `InvalidVolume.NotFound` that names every missing one, `InvalidParameterValue` */
  lookUp(ids: readonly string[]): Volume[] {
    const malformed = ids.find((id) => !ID.test(id));
    if (malformed !== undefined) {
      throw invalidValue("volumeId", malformed, "Expected: 'vol-...'.");
    }
    return this.#records.lookUp(ids, isThere);
  }

  has(id: string): boolean {
    return this.#records.has(id) && isThere(this.#records.get(id));
  }

  /** The volume as it is. */
  truth(id: string): Volume {
    const volume = this.#records.get(id);
    if (!isThere(volume)) {
      throw KIND.notFound([id]);
    }
    return volume;
  }

  /**
   * Creates a volume, or returns the one that the same token created.
   *
   * @throws Ec2ApiError `IdempotentParameterMismatch`; `UnsupportedOperation` where the hypervisor has no volumes
   */
  create(parameters: VolumeParameters): Volume {
    const host = this.#options.hypervisor.volumes;
    if (host === undefined) {
      throw new Ec2ApiError(
        "UnsupportedOperation",
        "The machines behind this endpoint take no data volumes; leave spec.ec2.dataVolume out of the SatelliteClass",
      );
    }
    const known = this.#records.byToken(parameters.clientToken ?? "");
    if (known !== undefined) {
      if (known.requestHash !== parameters.requestHash || known.deletedAt !== undefined) {
        throw new Ec2ApiError(
          "IdempotentParameterMismatch",
          "The client token was used before, with other parameters or for a volume that is deleted.",
        );
      }
      return known;
    }
    const id = this.#options.newId();
    const volume: Volume = { ...parameters, id, state: "creating", createdAt: this.#now() };
    this.#records.put(volume);
    this.#continue(volume);
    return volume;
  }

  /**
   * Attaches an available volume to an instance of its zone that runs or is stopped.
   *
   * @throws Ec2ApiError `VolumeInUse`, `IncorrectState`, `InvalidVolume.ZoneMismatch`, `UnsupportedOperation`
   */
  async attach(id: string, instanceId: string, device: string): Promise<Volume> {
    this.lookUp([id]);
    const [instance] = this.#options.instances.lookUp([instanceId]);
    await this.#refuseHibernated(instanceId);
    const volume = this.truth(id);
    if (volume.state === "in-use") {
      throw new Ec2ApiError("VolumeInUse", `${id} is already attached to an instance`);
    }
    if (volume.state !== "available") {
      throw new Ec2ApiError("IncorrectState", `Volume '${id}' is in the '${volume.state}' state.`);
    }
    const { state, zone } = this.#options.instances.truth(instance?.id ?? instanceId);
    if (state !== "running" && state !== "stopped") {
      throw new Ec2ApiError("IncorrectState", `Instance '${instanceId}' is not 'running'.`);
    }
    if (zone !== volume.zone) {
      throw new Ec2ApiError(
        "InvalidVolume.ZoneMismatch",
        `The volume '${id}' is not in the same availability zone as instance '${instanceId}'`,
      );
    }
    if (this.attachedTo(instanceId).some(({ attachment }) => attachment?.device === device)) {
      throw invalidValue("device", device, "Attachment point is already in use");
    }
    const attached = this.#change(id, {
      state: "in-use",
      attachment: { instance: instanceId, device, state: "attaching", since: this.#now() },
    });
    this.#continue(attached);
    return attached;
  }

  /**
   * Detaches a volume; from an instance that runs only once that has stopped.
   *
   * @throws Ec2ApiError `IncorrectState` for one that is not attached, `InvalidAttachment.NotFound`
   */
  async detach(id: string, instanceId: string | undefined): Promise<Volume> {
    this.lookUp([id]);
    const { attachment } = this.truth(id);
    if (attachment === undefined) {
      throw new Ec2ApiError("IncorrectState", `Volume '${id}' is in the 'available' state.`);
    }
    if (instanceId !== undefined && instanceId !== attachment.instance) {
      throw new Ec2ApiError(
        "InvalidAttachment.NotFound",
        `The attachment of '${id}' to '${instanceId}' does not exist.`,
      );
    }
    await this.#refuseHibernated(attachment.instance);
    const detaching = this.#change(id, {
      attachment: { ...attachment, state: this.#isInUse(attachment.instance) ? "busy" : "detaching" },
    });
    this.#continue(detaching);
    return detaching;
  }

  /** @throws Ec2ApiError `VolumeInUse`, `IncorrectState` */
  delete(id: string): void {
    this.lookUp([id]);
    const { state, attachment } = this.truth(id);
    if (state === "in-use") {
      throw new Ec2ApiError("VolumeInUse", `Volume ${id} is currently attached to ${attachment?.instance}`);
    }
    if (state === "creating") {
      throw new Ec2ApiError("IncorrectState", `Volume '${id}' is in the 'creating' state.`);
    }
    this.#change(id, { deletedAt: this.#now() });
    void this.#carryOut(id, async () => this.#options.hypervisor.volumes?.remove(id));
  }

  /** Adds or overwrites tags. */
  tag(id: string, tags: Readonly<Record<string, string>>): void {
    this.lookUp([id]);
    this.#change(id, { tags: { ...this.truth(id).tags, ...tags } });
  }

  /** What readers see attached to an instance. */
  attachedTo(instanceId: string): Volume[] {
    return this.visible().filter(({ attachment }) => attachment?.instance === instanceId);
  }

  /** Begins the next step of a volume that is changing. */
  #continue(volume: Volume): void {
    const { id, state, attachment, sizeGiB } = volume;
    const { script, hypervisor } = this.#options;
    if (state === "creating") {
      this.#later(volume, script.createMs, async () => {
        await hypervisor.volumes?.create(id, sizeGiB);
        this.#change(id, { state: "available" });
      });
    } else if (attachment?.state === "attaching") {
      this.#later(volume, script.attachMs, async () => {
        await hypervisor.volumes?.attach(id, attachment.instance);
        this.#change(id, { attachment: { ...attachment, state: "attached" } });
      });
    } else if (attachment?.state === "detaching") {
      this.#later(volume, script.detachMs, () => this.#release(id, attachment.instance));
    }
  }

  async #release(id: string, instanceId: string): Promise<void> {
    await this.#options.hypervisor.volumes?.detach(id, instanceId);
    const { attachment: _gone, ...free } = this.truth(id);
    this.#records.put({ ...free, state: "available" });
  }

  /** Does `work` later, unless the volume has changed meanwhile. */
  #later(volume: Volume, delayMs: number, work: () => Promise<void>): void {
    const start = (): void => {
      if (!this.#closed && this.has(volume.id) && this.truth(volume.id) === volume) {
        void this.#carryOut(volume.id, work);
      }
    };
    if (delayMs === 0) {
      queueMicrotask(start);
    } else {
      this.#options.clock.setTimer(delayMs, start);
    }
  }

  /** Never rejects: as with EC2, a volume whose step fails stays as it is, and only the log says why. */
  async #carryOut(id: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.logger.error("The hypervisor failed", { volume: id, error: toError(error) });
    }
  }

  /** A volume that is busy is detached once the instance has stopped; a terminated instance frees all its volumes. */
  #onInstance({ id, state }: Instance): void {
    if (state !== "stopped" && state !== "terminated") {
      return;
    }
    for (const volume of this.truths()) {
      const { attachment } = volume;
      if (attachment?.instance === id && (state === "terminated" || attachment.state === "busy")) {
        this.#continue(this.#change(volume.id, { attachment: { ...attachment, state: "detaching" } }));
      }
    }
  }

  #isInUse(instanceId: string): boolean {
    const { instances } = this.#options;
    const state = instances.has(instanceId) ? instances.truth(instanceId).state : "terminated";
    return state !== "stopped" && state !== "terminated";
  }

  async #refuseHibernated(instanceId: string): Promise<void> {
    if ((await this.#options.hypervisor.state(instanceId)) === "hibernated") {
      throw new Ec2ApiError(
        "UnsupportedOperation",
        `Volumes of ${instanceId} cannot be attached or detached while it is hibernated`,
      );
    }
  }

  #change(id: string, fields: Partial<Volume>): Volume {
    this.truth(id);
    return this.#records.change(id, fields);
  }

  #now(): string {
    return this.#options.clock.now().toISOString();
  }
}

function isThere({ deletedAt }: Volume): boolean {
  return deletedAt === undefined;
}
