import type { Action } from "./action.ts";
import { Ec2ApiError, invalidValue } from "./api-error.ts";
import { applyFilters, isTagFilter, readFilters, tagFilterValues } from "./filters.ts";
import { tagsXml } from "./instance-xml.ts";
import { IMAGE_SIZE_GIB, ROOT_DEVICE } from "./launch-check.ts";
import { ACCOUNT_ID, type Ec2Model } from "./model.ts";
import { AddressPool } from "./addresses.ts";
import type { Subnet } from "./network.ts";
import { cutPage, readPage } from "./paging.ts";
import type { InstanceType } from "./instance-types.ts";
import type { XmlNode } from "./xml.ts";

const IMAGE_FILTERS: Readonly<Record<string, (image: Ec2Model["images"][number]) => string>> = {
  architecture: ({ architecture }) => architecture,
  "image-id": ({ id }) => id,
  name: ({ name }) => name,
  state: () => "available",
  "root-device-type": () => "ebs",
  "virtualization-type": () => "hvm",
};

/** Images of the hypervisor; all of them belong to the account. */
export const describeImages: Action = (model, parameters) => {
  const ids = parameters.strings("ImageId");
  const owners = parameters.strings("Owner");
  const filters = readFilters(parameters);
  const page = readPage(parameters);
  return {
    run: () => {
      const missing = ids.filter((id) => !model.images.some((image) => image.id === id));
      if (missing.length > 0) {
        throw new Ec2ApiError(
          "InvalidAMIID.NotFound",
          `The image id '[${missing.join(", ")}]' does not exist`,
        );
      }
      const owned = owners.length === 0 || owners.includes("self") || owners.includes(ACCOUNT_ID);
      const wanted = model.images.filter(({ id }) => owned && (ids.length === 0 || ids.includes(id)));
      const matching = applyFilters(
        wanted,
        filters,
        (name) => name in IMAGE_FILTERS,
        (image) => (name) => [IMAGE_FILTERS[name]?.(image) ?? ""],
      );
      const { items, nextToken } = cutPage(matching, page, ({ id }) => id);
      return { content: { imagesSet: items.map(imageXml), nextToken } };
    },
  };
};

/** The date that an image's name carries, as `…-2026.01.31`; images without one are old. */
function creationDate(name: string): string {
  const [, year, month, day] = /(\d{4})[.-](\d{2})[.-](\d{2})/.exec(name) ?? [];
  return `${year ?? "2020"}-${month ?? "01"}-${day ?? "01"}T00:00:00.000Z`;
}

function imageXml(image: Ec2Model["images"][number]): XmlNode {
  return {
    imageId: image.id,
    imageLocation: `${ACCOUNT_ID}/${image.name}`,
    imageState: "available",
    imageOwnerId: ACCOUNT_ID,
    creationDate: creationDate(image.name),
    isPublic: false,
    architecture: image.architecture,
    imageType: "machine",
    name: image.name,
    rootDeviceType: "ebs",
    rootDeviceName: ROOT_DEVICE,
    virtualizationType: "hvm",
    hypervisor: "xen",
    enaSupport: true,
    blockDeviceMapping: [
      {
        deviceName: ROOT_DEVICE,
        ebs: {
          deleteOnTermination: true,
          snapshotId: "snap-0077000000000000a",
          volumeSize: IMAGE_SIZE_GIB,
          volumeType: "gp3",
          encrypted: false,
        },
      },
    ],
  };
}

/** Subnets by ID or filter. */
export const describeSubnets: Action = (model, parameters) => {
  const ids = parameters.strings("SubnetId");
  const filters = readFilters(parameters);
  const page = readPage(parameters);
  return {
    run: () => {
      const { network } = model;
      const missing = ids.find((id) => !network.subnets.some((subnet) => subnet.id === id));
      if (missing !== undefined) {
        throw new Ec2ApiError("InvalidSubnetID.NotFound", `The subnet ID '${missing}' does not exist`);
      }
      const wanted = network.subnets.filter(({ id }) => ids.length === 0 || ids.includes(id));
      const byName: Readonly<Record<string, (subnet: Subnet) => string>> = {
        "availability-zone": ({ zone }) => zone,
        "subnet-id": ({ id }) => id,
        "vpc-id": () => network.vpcId,
        state: () => "available",
      };
      const matching = applyFilters(
        wanted,
        filters,
        (name) => isTagFilter(name) || name in byName,
        (subnet) => (name) =>
          isTagFilter(name) ? tagFilterValues(network.tags, name) : [byName[name]?.(subnet) ?? ""],
      );
      const { items, nextToken } = cutPage(matching, page, ({ id }) => id);
      return { content: { subnetSet: items.map((subnet) => subnetXml(model, subnet)), nextToken } };
    },
  };
};

function subnetXml(model: Ec2Model, subnet: Subnet): XmlNode {
  const used = model.instances
    .truths()
    .filter(({ subnet: id, state }) => id === subnet.id && state !== "terminated").length;
  return {
    subnetId: subnet.id,
    state: "available",
    vpcId: model.network.vpcId,
    cidrBlock: subnet.cidr,
    availableIpAddressCount: new AddressPool(subnet).size - used,
    availabilityZone: subnet.zone,
    ipv6Native: subnet.ipv6Native ?? false,
    defaultForAz: false,
    mapPublicIpOnLaunch: false,
    ownerId: ACCOUNT_ID,
    tagSet: tagsXml(model.network.tags),
  };
}

/** The one security group, by ID or filter. */
export const describeSecurityGroups: Action = (model, parameters) => {
  const ids = parameters.strings("GroupId");
  const filters = readFilters(parameters);
  const page = readPage(parameters);
  return {
    run: () => {
      const { securityGroup, vpcId, tags } = model.network;
      const missing = ids.find((id) => id !== securityGroup.id);
      if (missing !== undefined) {
        throw new Ec2ApiError("InvalidGroup.NotFound", `The security group '${missing}' does not exist`);
      }
      const byName: Readonly<Record<string, string>> = {
        "group-id": securityGroup.id,
        "group-name": securityGroup.name,
        "vpc-id": vpcId,
      };
      const matching = applyFilters(
        [securityGroup],
        filters,
        (name) => isTagFilter(name) || name in byName,
        () => (name) => (isTagFilter(name) ? tagFilterValues(tags, name) : [byName[name] ?? ""]),
      );
      const { items, nextToken } = cutPage(matching, page, ({ id }) => id);
      const securityGroupInfo = items.map(({ id, name }) => ({
        groupId: id,
        groupName: name,
        groupDescription: "Instances of the model",
        vpcId,
        ownerId: ACCOUNT_ID,
        ipPermissions: [],
        ipPermissionsEgress: [],
        tagSet: tagsXml(tags),
      }));
      return { content: { securityGroupInfo, nextToken } };
    },
  };
};

const TYPE_FILTERS: Readonly<Record<string, (type: InstanceType) => string>> = {
  "bare-metal": ({ bareMetal }) => String(bareMetal),
  "hibernation-supported": ({ hibernationSupported }) => String(hibernationSupported),
  "instance-type": ({ name }) => name,
  "processor-info.supported-architecture": ({ architecture }) => architecture,
};

/** Instance types by name or filter. */
export const describeInstanceTypes: Action = (model, parameters) => {
  const names = parameters.strings("InstanceType");
  const filters = readFilters(parameters);
  const page = readPage(parameters, 100);
  return {
    run: () => {
      const wanted = names.length === 0 ? model.instanceTypes : names.map((name) => model.instanceType(name));
      const matching = applyFilters(
        wanted,
        filters,
        (name) => name in TYPE_FILTERS,
        (type) => (name) => [TYPE_FILTERS[name]?.(type) ?? ""],
      );
      const { items, nextToken } = cutPage(matching, page, ({ name }) => name);
      return { content: { instanceTypeSet: items.map(typeXml), nextToken } };
    },
  };
};

function typeXml(type: InstanceType): XmlNode {
  return {
    instanceType: type.name,
    currentGeneration: true,
    bareMetal: type.bareMetal,
    ...(type.bareMetal ? {} : { hypervisor: "nitro" }),
    processorInfo: { supportedArchitectures: [type.architecture] },
    vCpuInfo: { defaultVCpus: type.vcpus },
    memoryInfo: { sizeInMiB: type.memoryMiB },
    hibernationSupported: type.hibernationSupported,
    supportedRootDeviceTypes: ["ebs"],
    supportedVirtualizationTypes: ["hvm"],
  };
}

/** Which types each zone has. */
export const describeInstanceTypeOfferings: Action = (model, parameters) => {
  const locationType = parameters.string("LocationType") ?? "region";
  const filters = readFilters(parameters);
  const page = readPage(parameters);
  if (locationType !== "availability-zone") {
    throw invalidValue("LocationType", locationType, "The model knows availability-zone.");
  }
  return {
    run: () => {
      const offerings = model.network.subnets.flatMap(({ zone }) =>
        model.instanceTypes
          .filter(({ name }) => model.isOffered(zone, name))
          .map(({ name }) => ({ zone, name })),
      );
      const matching = applyFilters(
        offerings,
        filters,
        (name) => name === "instance-type" || name === "location",
        (offering) => (name) => [name === "location" ? offering.zone : offering.name],
      );
      const { items, nextToken } = cutPage(matching, page, ({ zone, name }) => `${zone}/${name}`);
      const instanceTypeOfferingSet = items.map(({ zone, name }) => ({
        instanceType: name,
        locationType,
        location: zone,
      }));
      return { content: { instanceTypeOfferingSet, nextToken } };
    },
  };
};
