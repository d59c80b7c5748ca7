import { createHash } from "node:crypto";
import type { Action } from "./action.ts";
import { Ec2ApiError, invalidCombination, invalidValue, missingParameter } from "./api-error.ts";
import { reservationXml } from "./instance-xml.ts";
import { checkLaunch, IMAGE_SIZE_GIB, ROOT_DEVICE, type LaunchParameters } from "./launch-check.ts";
import type { QueryParameters } from "./query-parameters.ts";
import { readTags } from "./tags.ts";

/** Launches one instance. Several at once, spot and network interfaces are refused. */
export const runInstances: Action = (model, parameters) => {
  const launch = readLaunch(parameters);
  return {
    resources: 1,
    check: () => {
      checkLaunch(model, launch);
    },
    run: () => {
      const instance = model.run(launch);
      return { content: reservationXml(model, instance), ids: [instance.id] };
    },
  };
};

function readLaunch(parameters: QueryParameters): LaunchParameters {
  for (const count of ["MinCount", "MaxCount"]) {
    if (parameters.integer(count, 1, 1) === undefined) {
      throw missingParameter(count);
    }
  }
  const tags = readTagSpecifications(parameters);
  const instanceProfile = readProfile(parameters);
  const clientToken = parameters.string("ClientToken");
  return {
    image: parameters.requiredString("ImageId"),
    type: parameters.requiredString("InstanceType"),
    ...readPlace(parameters),
    userData: parameters.string("UserData") ?? "",
    hibernationConfigured: parameters.structure("HibernationOptions")?.boolean("Configured") ?? false,
    metadataOptions: readMetadataOptions(parameters),
    shutdownBehavior: readShutdownBehavior(parameters),
    disableApiTermination: parameters.boolean("DisableApiTermination") ?? false,
    disableApiStop: parameters.boolean("DisableApiStop") ?? false,
    volume: readVolume(parameters),
    tags: tags.instance,
    volumeTags: tags.volume,
    requestHash: createHash("sha256")
      .update(parameters.canonical(["ClientToken"]))
      .digest("hex"),
    ...(clientToken === undefined ? {} : { clientToken }),
    ...(instanceProfile === undefined ? {} : { instanceProfile }),
  };
}

/** Subnet and groups are given in the request itself or in its one network interface, never in both. */
function readPlace(parameters: QueryParameters): Pick<LaunchParameters, "subnet" | "securityGroups"> {
  const [card, further] = parameters.structures("NetworkInterface");
  if (card === undefined) {
    return {
      subnet: parameters.requiredString("SubnetId"),
      securityGroups: parameters.strings("SecurityGroupId"),
    };
  }
  if (further !== undefined || card.integer("DeviceIndex", 0, 0) === undefined) {
    throw invalidCombination("The model has one network interface, with DeviceIndex 0");
  }
  if (card.boolean("AssociatePublicIpAddress") === true) {
    throw invalidCombination("The model has no public addresses; AssociatePublicIpAddress must be false");
  }
  if (card.boolean("DeleteOnTermination") === false) {
    throw invalidCombination("The model keeps no network interfaces; DeleteOnTermination must be true");
  }
  return {
    subnet: card.requiredString("SubnetId"),
    securityGroups: card.strings("SecurityGroupId"),
  };
}

function readTagSpecifications(parameters: QueryParameters): {
  readonly instance: Record<string, string>;
  readonly volume: Record<string, string>;
} {
  const tags = { instance: {}, volume: {} };
  for (const specification of parameters.structures("TagSpecification")) {
    const resource = specification.requiredString("ResourceType");
    if (resource !== "instance" && resource !== "volume") {
      throw invalidValue("ResourceType", resource, "The model tags resources of type instance and volume.");
    }
    Object.assign(tags[resource], readTags(specification));
  }
  return tags;
}

function readProfile(parameters: QueryParameters): string | undefined {
  const profile = parameters.structure("IamInstanceProfile");
  return profile?.string("Arn") ?? profile?.string("Name");
}

function readMetadataOptions(parameters: QueryParameters): LaunchParameters["metadataOptions"] {
  const options = parameters.structure("MetadataOptions");
  const httpTokens = options?.string("HttpTokens") ?? "optional";
  if (httpTokens !== "optional" && httpTokens !== "required") {
    throw invalidValue("HttpTokens", httpTokens, "Use optional or required.");
  }
  const endpoint = options?.string("HttpEndpoint") ?? "enabled";
  if (endpoint !== "enabled") {
    throw invalidValue("HttpEndpoint", endpoint, "The model always serves metadata.");
  }
  const tagsInMetadata = options?.string("InstanceMetadataTags") ?? "disabled";
  if (tagsInMetadata !== "disabled") {
    throw invalidValue("InstanceMetadataTags", tagsInMetadata, "The model never shows tags in metadata.");
  }
  return { httpTokens, hopLimit: options?.integer("HttpPutResponseHopLimit", 1, 64) ?? 1 };
}

function readShutdownBehavior(parameters: QueryParameters): LaunchParameters["shutdownBehavior"] {
  const behavior = parameters.string("InstanceInitiatedShutdownBehavior") ?? "stop";
  if (behavior !== "stop" && behavior !== "terminate") {
    throw invalidValue("InstanceInitiatedShutdownBehavior", behavior, "Use stop or terminate.");
  }
  return behavior;
}

function readVolume(parameters: QueryParameters): LaunchParameters["volume"] {
  const [mapping, further] = parameters.structures("BlockDeviceMapping");
  if (further !== undefined) {
    throw new Ec2ApiError("InvalidBlockDeviceMapping", "The model only has root volumes");
  }
  const ebs = mapping?.structure("Ebs");
  const iops = ebs?.integer("Iops", 100, 256_000);
  const throughput = ebs?.integer("Throughput", 125, 2_000);
  const kmsKeyId = ebs?.string("KmsKeyId");
  return {
    deviceName: mapping?.requiredString("DeviceName") ?? ROOT_DEVICE,
    sizeGiB: ebs?.integer("VolumeSize", 1, 65_536) ?? IMAGE_SIZE_GIB,
    type: ebs?.string("VolumeType") ?? "gp2",
    encrypted: ebs?.boolean("Encrypted") ?? false,
    deleteOnTermination: ebs?.boolean("DeleteOnTermination") ?? true,
    ...(iops === undefined ? {} : { iops }),
    ...(throughput === undefined ? {} : { throughput }),
    ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
  };
}
