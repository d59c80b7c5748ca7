import { Ec2ApiError, invalidCombination, invalidValue } from "./api-error.ts";
import type { Instance, RootVolume } from "./instance.ts";
import type { InstanceType } from "./instance-types.ts";
import type { Hypervisor } from "./hypervisor.ts";
import type { Network, Subnet } from "./network.ts";

/** What a RunInstances request asks for, read but not yet checked. */
export interface LaunchParameters extends Pick<
  Instance,
  | "image"
  | "type"
  | "subnet"
  | "securityGroups"
  | "userData"
  | "hibernationConfigured"
  | "metadataOptions"
  | "shutdownBehavior"
  | "disableApiTermination"
  | "disableApiStop"
  | "tags"
  | "requestHash"
> {
  readonly clientToken?: string;
  readonly instanceProfile?: string;
  readonly volume: Omit<RootVolume, "id" | "tags">;
  readonly volumeTags: Readonly<Record<string, string>>;
}

type Image = ReturnType<Hypervisor["images"]>[number];

/** What a launch is checked against. */
export interface Account {
  readonly network: Network;
  readonly images: readonly Image[];
  readonly instanceProfiles: readonly string[];
  /** @throws Ec2ApiError `InvalidInstanceType` */
  instanceType(name: string): InstanceType;
  isOffered(zone: string, type: string): boolean;
}

/** Root device of all images of the account. */
export const ROOT_DEVICE = "/dev/xvda";
/** Smallest root volume: what the images of the model need. */
export const IMAGE_SIZE_GIB = 4;
/** Before base64 (EC2 user guide, "Work with instance user data"). */
const MAX_USER_DATA_BYTES = 16_384;
const MAX_TOKEN_LENGTH = 64;
/** Linux RAM that can hibernate (EC2 user guide, "Prerequisites for hibernation"). */
const MAX_HIBERNATION_MIB = 150 * 1024;
const VOLUME_TYPES = ["gp2", "gp3", "io1", "io2"];

/**
 * Checks the parameters of a launch; its token and the capacity are checked later.
 *
 * @throws Ec2ApiError with the code that EC2 has for what is wrong
 */
export function checkLaunch(
  account: Account,
  parameters: LaunchParameters,
): { subnet: Subnet; image: Image; type: InstanceType } {
  checkToken(parameters.clientToken);
  const image = findImage(account, parameters.image);
  const type = account.instanceType(parameters.type);
  const subnet = account.network.subnets.find(({ id }) => id === parameters.subnet);
  if (subnet === undefined) {
    throw new Ec2ApiError("InvalidSubnetID.NotFound", `The subnet ID '${parameters.subnet}' does not exist`);
  }
  const group = parameters.securityGroups.find((id) => id !== account.network.securityGroup.id);
  if (group !== undefined) {
    throw new Ec2ApiError("InvalidGroup.NotFound", `The security group '${group}' does not exist`);
  }
  if (type.architecture !== image.architecture) {
    throw new Ec2ApiError(
      "InvalidParameterValue",
      `The architecture '${type.architecture}' of the specified instance type does not match the architecture ` +
        `'${image.architecture}' of the specified AMI. Specify an instance type and an AMI that have matching ` +
        "architectures, and try again.",
    );
  }
  if (!account.isOffered(subnet.zone, type.name)) {
    throw new Ec2ApiError(
      "Unsupported",
      `Your requested instance type (${type.name}) is not supported in your requested Availability Zone ` +
        `(${subnet.zone}). Please retry your request by not specifying an Availability Zone or choosing another one.`,
    );
  }
  checkProfile(account, parameters.instanceProfile);
  checkVolume(parameters.volume);
  checkUserData(parameters.userData);
  checkHibernation(parameters, type);
  return { subnet, image, type };
}

/**
 * Checks a launch whose token has launched an instance already (EC2 developer guide, "Ensuring idempotency").
 *
 * @throws Ec2ApiError `IdempotentParameterMismatch`, `IdempotentInstanceTerminated`
 */
export function checkRepeated(known: Instance, parameters: LaunchParameters): void {
  if (known.requestHash !== parameters.requestHash) {
    throw new Ec2ApiError(
      "IdempotentParameterMismatch",
      "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
    );
  }
  if (known.state === "terminated") {
    throw new Ec2ApiError(
      "IdempotentInstanceTerminated",
      "The client token that you provided is associated with an instance that has been terminated. " +
        "Retry with a different client token.",
    );
  }
}

function checkToken(token: string | undefined): void {
  if (token !== undefined && !/^[\x21-\x7e]{1,64}$/.test(token)) {
    throw new Ec2ApiError(
      "InvalidParameterValue",
      `Invalid value for ClientToken: it must be ASCII of at most ${MAX_TOKEN_LENGTH} characters`,
    );
  }
}

function findImage(account: Account, id: string): Image {
  if (!/^ami-[0-9a-z]+$/.test(id)) {
    throw new Ec2ApiError("InvalidAMIID.Malformed", `Invalid id: "${id}" (expecting "ami-...")`);
  }
  const image = account.images.find((candidate) => candidate.id === id);
  if (image === undefined) {
    throw new Ec2ApiError("InvalidAMIID.NotFound", `The image id '[${id}]' does not exist`);
  }
  return image;
}

function checkProfile(account: Account, profile: string | undefined): void {
  const name = profile?.split("/").at(-1);
  if (name !== undefined && !account.instanceProfiles.includes(name)) {
    throw invalidValue("iamInstanceProfile.name", name, "Invalid IAM Instance Profile name");
  }
}

function checkVolume(volume: LaunchParameters["volume"]): void {
  if (volume.deviceName !== ROOT_DEVICE) {
    throw new Ec2ApiError(
      "InvalidBlockDeviceMapping",
      `The model only has the root device ${ROOT_DEVICE}; ${volume.deviceName} cannot be mapped`,
    );
  }
  if (volume.sizeGiB < IMAGE_SIZE_GIB) {
    throw new Ec2ApiError(
      "InvalidBlockDeviceMapping",
      `Volume of size ${volume.sizeGiB}GB is smaller than snapshot of the image, expect size >= ${IMAGE_SIZE_GIB}GB`,
    );
  }
  checkVolumeType(volume);
}

/** What holds for volumes of every kind. @throws Ec2ApiError */
export function checkVolumeType(
  volume: Pick<RootVolume, "type" | "iops" | "throughput" | "encrypted" | "kmsKeyId">,
): void {
  if (!VOLUME_TYPES.includes(volume.type)) {
    throw invalidValue("volumeType", volume.type, `Use one of ${VOLUME_TYPES.join(", ")}.`);
  }
  if (volume.throughput !== undefined && volume.type !== "gp3") {
    throw invalidCombination("The parameter throughput is only for volumes of type gp3");
  }
  if (volume.iops !== undefined && volume.type === "gp2") {
    throw invalidCombination("The parameter iops is not supported for gp2 volumes.");
  }
  if (volume.kmsKeyId !== undefined && !volume.encrypted) {
    throw invalidCombination("A KMS key needs an encrypted volume");
  }
}

function checkUserData(userData: string): void {
  const decoded = Buffer.from(userData, "base64");
  if (decoded.toString("base64").replace(/=+$/, "") !== userData.replace(/=+$/, "")) {
    throw new Ec2ApiError("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data");
  }
  if (decoded.length > MAX_USER_DATA_BYTES) {
    throw new Ec2ApiError("InvalidParameterValue", `User data is limited to ${MAX_USER_DATA_BYTES} bytes`);
  }
}

function checkHibernation(parameters: LaunchParameters, type: InstanceType): void {
  if (!parameters.hibernationConfigured) {
    return;
  }
  if (!type.hibernationSupported || type.bareMetal || type.memoryMiB >= MAX_HIBERNATION_MIB) {
    throw unsupportedHibernation(`Hibernation is not supported for the instance type ${type.name}.`);
  }
  if (!parameters.volume.encrypted) {
    throw unsupportedHibernation("Hibernation needs an encrypted root volume.");
  }
  if (parameters.volume.sizeGiB < IMAGE_SIZE_GIB + type.memoryMiB / 1024) {
    throw unsupportedHibernation(
      `Root volume is not large enough to hold the memory of ${type.memoryMiB} MiB and the system.`,
    );
  }
}

function unsupportedHibernation(message: string): Ec2ApiError {
  return new Ec2ApiError("UnsupportedHibernationConfiguration", message);
}
