import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  DeleteVolumeCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  type CreateVolumeCommandInput,
  type Volume as Ec2Volume,
} from "@aws-sdk/client-ec2";
import type { Volume, VolumePlan } from "../cloud.ts";
import { CloudError } from "../errors.ts";
import { DATA_VOLUME, Tag } from "../tags.ts";
import type { AwsClients } from "./aws-clients.ts";
import type { Ec2Calls } from "./ec2-calls.ts";
import type { LimitedAction } from "./limits.ts";
import { madeBefore } from "./made-before.ts";
import { allPages, pageOf } from "./pages.ts";
import { toTagList } from "./tags.ts";

/** Device of the data volume (EC2 user guide, "Device names for volumes"); on Nitro the guest sees an NVMe disk. */
export const DATA_DEVICE = "/dev/sdf";

/** EC2's code for a volume that does not exist; no other refusal proves that. */
export const VOLUME_NOT_FOUND = "InvalidVolume.NotFound";

const PAGE_SIZE = 500;

/** The calls that concern data volumes. */
export class Ec2Volumes {
  readonly #clients: AwsClients;
  readonly #calls: Ec2Calls;
  readonly #cluster: string;

  constructor(clients: AwsClients, calls: Ec2Calls, cluster: string) {
    this.#clients = clients;
    this.#calls = calls;
    this.#cluster = cluster;
  }

  /**
   * Creates an encrypted volume. Sending the same plan again is safe, and shows the outcome: EC2 answers with the volume that
   * the same token has created.
   */
  async create(plan: VolumePlan): Promise<Volume> {
    const input: CreateVolumeCommandInput = {
      AvailabilityZone: plan.zone,
      ClientToken: plan.token,
      Size: plan.sizeGiB,
      VolumeType: plan.type as "gp3",
      Encrypted: true,
      ...(plan.iops === undefined ? {} : { Iops: plan.iops }),
      ...(plan.throughput === undefined ? {} : { Throughput: plan.throughput }),
      ...(plan.kmsKeyID === undefined ? {} : { KmsKeyId: plan.kmsKeyID }),
      TagSpecifications: [
        { ResourceType: "volume", Tags: toTagList({ ...plan.tags, [Tag.token]: plan.token }) },
      ],
    };
    try {
      const volume = await this.#change(
        "CreateVolume",
        (abortSignal) => this.#clients.housekeeping.send(new CreateVolumeCommand(input), { abortSignal }),
        plan.tags[Tag.namespace],
      );
      return toVolume(volume);
    } catch (error) {
      return madeBefore(
        error,
        () => this.findCreated(plan),
        (_refusal, cause) => volumeNotVisible(plan, cause),
      );
    }
  }

  /** The volume of the plan's token; `undefined`: none is visible. */
  async findCreated({ token }: VolumePlan): Promise<Volume | undefined> {
    const [found] = await this.#find([{ Name: `tag:${Tag.token}`, Values: [token] }]);
    return found;
  }

  async attach(id: string, machine: string): Promise<void> {
    const command = new AttachVolumeCommand({ VolumeId: id, InstanceId: machine, Device: DATA_DEVICE });
    await this.#change("AttachVolume", (abortSignal) => this.#clients.wake.send(command, { abortSignal }));
  }

  async detach(id: string, machine: string): Promise<void> {
    const command = new DetachVolumeCommand({ VolumeId: id, InstanceId: machine });
    await this.#change("DetachVolume", (abortSignal) => this.#clients.wake.send(command, { abortSignal }));
  }

  async delete(id: string): Promise<void> {
    try {
      await this.#change("DeleteVolume", (abortSignal) =>
        this.#clients.housekeeping.send(new DeleteVolumeCommand({ VolumeId: id }), { abortSignal }),
      );
    } catch (error) {
      if (!(error instanceof CloudError) || error.code !== VOLUME_NOT_FOUND) {
        throw error;
      }
    }
  }

  /** Those of `ids` that exist. The caller has taken a token of DescribeVolumes. */
  async describe(ids: readonly string[]): Promise<ReadonlyMap<string, Volume>> {
    const command = new DescribeVolumesCommand({ VolumeIds: [...ids] });
    const { Volumes = [] } = await this.#calls.callWithToken({
      action: "DescribeVolumes",
      bucket: "DescribeVolumes",
      kind: "read",
      priority: "wake",
      send: (abortSignal) => this.#clients.read.send(command, { abortSignal }),
    });
    return new Map(Volumes.map(toVolume).map((volume) => [volume.id, volume]));
  }

  /** All data volumes of this cluster. */
  list(): Promise<Volume[]> {
    return this.#find([
      { Name: `tag:${Tag.cluster}`, Values: [this.#cluster] },
      { Name: `tag:${Tag.volume}`, Values: [DATA_VOLUME] },
    ]);
  }

  async #find(filters: { Name: string; Values: string[] }[]): Promise<Volume[]> {
    const volumes = await allPages(async (token) => {
      const command = new DescribeVolumesCommand({
        Filters: filters,
        MaxResults: PAGE_SIZE,
        ...pageOf(token),
      });
      const { Volumes = [], NextToken } = await this.#calls.call({
        action: "DescribeVolumes",
        bucket: "DescribeVolumes",
        kind: "read",
        priority: "housekeeping",
        send: (abortSignal) => this.#clients.read.send(command, { abortSignal }),
      });
      return { items: Volumes, nextToken: NextToken };
    });
    return volumes.map(toVolume);
  }

  #change<T>(action: LimitedAction, send: (signal: AbortSignal) => Promise<T>, tenant?: string): Promise<T> {
    return this.#calls.call({
      action,
      bucket: action,
      kind: "change",
      priority: "wake",
      tenant,
      send,
    });
  }
}

function volumeNotVisible(plan: VolumePlan, cause: unknown): CloudError {
  return new CloudError({
    code: "VolumeNotVisible",
    class: "server",
    reason: "VolumeNotVisible",
    message:
      "CreateVolume was refused, and EC2 does not say whether an earlier request succeeded; it is looked for again. If " +
      `this lasts for an hour, look in the account for the tag ${Tag.token}=${plan.token}`,
    cause,
  });
}

/**
 * A volume as the SDK returns it, in the operator's words.
 *
 * @throws CloudError `MalformedAnswer` when it lacks an ID or a state
 */
export function toVolume(volume: Ec2Volume): Volume {
  const { VolumeId: id, State: state, AvailabilityZone: zone = "", CreateTime, Attachments = [] } = volume;
  if (id === undefined || state === undefined) {
    throw new CloudError({
      code: "MalformedAnswer",
      class: "server",
      reason: "CloudUnavailable",
      message: "EC2 described a volume without ID or state; check the endpoint",
    });
  }
  const attachment = Attachments.find(({ State }) => State !== "detached");
  const tags = (volume.Tags ?? []).map(({ Key, Value }) => [Key ?? "", Value ?? ""] as const);
  return {
    id,
    state,
    zone,
    createdAt: CreateTime?.toISOString() ?? "",
    tags: Object.fromEntries(tags),
    ...(attachment?.InstanceId === undefined
      ? {}
      : { attachment: { machine: attachment.InstanceId, state: attachment.State ?? "attached" } }),
  };
}
