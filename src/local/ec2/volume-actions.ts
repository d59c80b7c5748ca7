import { createHash } from "node:crypto";
import type { Action } from "./action.ts";
import { Ec2ApiError, invalidCombination, invalidValue, missingParameter } from "./api-error.ts";
import { applyFilters, isTagFilter, readFilters, tagFilterValues } from "./filters.ts";
import { attachmentXml, dataVolumeXml, volumeXml } from "./instance-xml.ts";
import { checkVolumeType } from "./launch-check.ts";
import type { Ec2Model } from "./model.ts";
import { cutPage, isPaged, readPage } from "./paging.ts";
import type { QueryParameters } from "./query-parameters.ts";
import { readTags } from "./tags.ts";
import type { VolumeParameters } from "./volumes.ts";
import type { XmlNode } from "./xml.ts";

/** Devices that a data volume may be (EC2 user guide, "Device names for volumes on Amazon EC2 instances"). */
const DEVICE = /^\/dev\/sd[f-p]$/;

/** Creates an empty volume; the model has no snapshots. */
export const createVolume: Action = (model, parameters) => {
  const wanted = readVolume(model, parameters);
  return {
    run: () => {
      const volume = model.volumes.create(wanted);
      return { content: dataVolumeXml(volume), ids: [volume.id] };
    },
  };
};

function readVolume(model: Ec2Model, parameters: QueryParameters): VolumeParameters {
  const zone = parameters.requiredString("AvailabilityZone");
  if (!model.network.subnets.some((subnet) => subnet.zone === zone)) {
    throw new Ec2ApiError("InvalidZone.NotFound", `The zone '${zone}' does not exist.`);
  }
  const sizeGiB = parameters.integer("Size", 1, 16_384);
  if (sizeGiB === undefined) {
    throw missingParameter("Size");
  }
  const iops = parameters.integer("Iops", 100, 256_000);
  const throughput = parameters.integer("Throughput", 125, 2_000);
  const kmsKeyId = parameters.string("KmsKeyId");
  const clientToken = parameters.string("ClientToken");
  const volume = {
    zone,
    sizeGiB,
    type: parameters.string("VolumeType") ?? "gp2",
    encrypted: parameters.boolean("Encrypted") ?? false,
    ...(iops === undefined ? {} : { iops }),
    ...(throughput === undefined ? {} : { throughput }),
    ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
  };
  checkVolumeType(volume);
  const tags: Record<string, string> = {};
  for (const specification of parameters.structures("TagSpecification")) {
    const resource = specification.requiredString("ResourceType");
    if (resource !== "volume") {
      throw invalidValue("ResourceType", resource, "CreateVolume tags resources of type volume.");
    }
    Object.assign(tags, readTags(specification));
  }
  const requestHash = createHash("sha256")
    .update(parameters.canonical(["ClientToken"]))
    .digest("hex");
  return { ...volume, tags, requestHash, ...(clientToken === undefined ? {} : { clientToken }) };
}

export const attachVolume: Action = (model, parameters) => {
  const volume = parameters.requiredString("VolumeId");
  const instance = parameters.requiredString("InstanceId");
  const device = parameters.requiredString("Device");
  if (!DEVICE.test(device)) {
    throw invalidValue("device", device, "Use /dev/sdf to /dev/sdp.");
  }
  return {
    ids: [volume, instance],
    run: async () => ({ content: attachmentXml(await model.volumes.attach(volume, instance, device)) }),
  };
};

/** Detaches without force; force loses what the guest has not written yet. */
export const detachVolume: Action = (model, parameters) => {
  const volume = parameters.requiredString("VolumeId");
  const instance = parameters.string("InstanceId");
  return {
    ids: instance === undefined ? [volume] : [volume, instance],
    run: async () => ({ content: attachmentXml(await model.volumes.detach(volume, instance)) }),
  };
};

export const deleteVolume: Action = (model, parameters) => {
  const volume = parameters.requiredString("VolumeId");
  return {
    ids: [volume],
    run: () => {
      model.volumes.delete(volume);
      return { content: { return: true } };
    },
  };
};

/** A volume of either kind as readers see it. */
interface Listed {
  readonly id: string;
  readonly xml: XmlNode;
  readonly tags: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, readonly string[]>>;
}

/** Root volumes that exist, and data volumes; by ID, by filter, or all in pages. */
export const describeVolumes: Action = (model, parameters) => {
  const ids = [...new Set(parameters.strings("VolumeId"))];
  const filters = readFilters(parameters);
  const page = readPage(parameters, 500);
  if (ids.length > 0 && isPaged(page)) {
    throw invalidCombination("The parameter VolumeIds cannot be used with the parameter MaxResults");
  }
  return {
    ids,
    run: () => {
      const roots = rootVolumes(model);
      const known = new Set(roots.map(({ id }) => id));
      const wanted = ids.filter((id) => !known.has(id));
      const data = ids.length > 0 ? model.volumes.lookUp(wanted) : model.volumes.visible();
      const all = [...roots.filter(({ id }) => ids.length === 0 || ids.includes(id)), ...data.map(toListed)];
      const matching = applyFilters(
        all,
        filters,
        (name) => isTagFilter(name) || FILTERS.has(name),
        ({ tags, values }) =>
          (name) =>
            isTagFilter(name) ? tagFilterValues(tags, name) : values[name],
      );
      const { items, nextToken } = cutPage(matching, page, ({ id }) => id);
      return { content: { volumeSet: items.map(({ xml }) => xml), nextToken } };
    },
  };
};

const FILTERS: ReadonlySet<string> = new Set([
  "attachment.instance-id",
  "availability-zone",
  "status",
  "volume-id",
]);

function rootVolumes(model: Ec2Model): Listed[] {
  return model.instances
    .visible()
    .filter(({ state, volume }) => state !== "terminated" || !volume.deleteOnTermination)
    .map((instance) => ({
      id: instance.volume.id,
      xml: volumeXml(instance),
      tags: instance.volume.tags,
      values: {
        "attachment.instance-id": [instance.id],
        "availability-zone": [instance.zone],
        status: [instance.state === "terminated" ? "available" : "in-use"],
        "volume-id": [instance.volume.id],
      },
    }));
}

function toListed(volume: ReturnType<Ec2Model["volumes"]["truth"]>): Listed {
  const { id, zone, state, attachment, tags } = volume;
  return {
    id,
    xml: dataVolumeXml(volume),
    tags,
    values: {
      "attachment.instance-id": attachment === undefined ? [] : [attachment.instance],
      "availability-zone": [zone],
      status: [state],
      "volume-id": [id],
    },
  };
}
