import { STATE_CODES, type Instance, type InstanceState, type RootVolume } from "./instance.ts";
import { ACCOUNT_ID, type Ec2Model, type StateChange } from "./model.ts";
import type { Volume } from "./volume.ts";
import type { XmlNode } from "./xml.ts";

/** `InstanceState`. */
export function stateXml(state: InstanceState): XmlNode {
  return { code: STATE_CODES[state], name: state };
}

/** `InstanceStateChange`. */
export function stateChangeXml(change: StateChange): XmlNode {
  return {
    instanceId: change.id,
    currentState: stateXml(change.current),
    previousState: stateXml(change.previous),
  };
}

/** `TagSet`. */
export function tagsXml(tags: Readonly<Record<string, string>>): XmlNode[] {
  return Object.entries(tags).map(([key, value]) => ({ key, value }));
}

/** `Instance`. A terminated one no longer has addresses, network or volumes. */
export function instanceXml(model: Ec2Model, instance: Instance): XmlNode {
  const { network } = model;
  const isLeft = instance.state !== "terminated";
  const host = `ip-${instance.privateAddress.replaceAll(".", "-")}.${model.region}.compute.internal`;
  const groups = instance.securityGroups.map((groupId) => ({
    groupId,
    groupName: network.securityGroup.name,
  }));
  return {
    instanceId: instance.id,
    imageId: instance.image,
    instanceState: stateXml(instance.state),
    privateDnsName: isLeft ? host : "",
    dnsName: "",
    reason: instance.transitionReason,
    amiLaunchIndex: 0,
    productCodes: [],
    instanceType: instance.type,
    launchTime: instance.launchTime,
    placement: { availabilityZone: instance.zone, groupName: "", tenancy: "default" },
    monitoring: { state: "disabled" },
    ...(isLeft
      ? {
          subnetId: instance.subnet,
          vpcId: network.vpcId,
          privateIpAddress: instance.privateAddress,
          sourceDestCheck: true,
          groupSet: groups,
        }
      : {}),
    stateReason: instance.stateReason,
    architecture: instance.architecture,
    rootDeviceType: "ebs",
    rootDeviceName: instance.volume.deviceName,
    blockDeviceMapping: isLeft
      ? [volumeMappingXml(instance), ...model.volumes.attachedTo(instance.id).map(dataMappingXml)]
      : [],
    virtualizationType: "hvm",
    clientToken: instance.clientToken ?? "",
    tagSet: tagsXml(instance.tags),
    hypervisor: "xen",
    iamInstanceProfile:
      instance.instanceProfile === undefined
        ? undefined
        : { arn: profileArn(instance.instanceProfile), id: "AIPA0000000000000077" },
    ebsOptimized: false,
    enaSupport: true,
    hibernationOptions: { configured: instance.hibernationConfigured },
    metadataOptions: {
      state: "applied",
      httpTokens: instance.metadataOptions.httpTokens,
      httpPutResponseHopLimit: instance.metadataOptions.hopLimit,
      httpEndpoint: "enabled",
    },
  };
}

/** `Reservation`: each instance of the model has one of its own. */
export function reservationXml(model: Ec2Model, instance: Instance): XmlNode {
  return {
    reservationId: instance.reservationId,
    ownerId: ACCOUNT_ID,
    groupSet: [],
    instancesSet: [instanceXml(model, instance)],
  };
}

/** `Volume`, the root of `instance`. */
export function volumeXml(instance: Instance): XmlNode {
  const { volume } = instance;
  return {
    volumeId: volume.id,
    size: volume.sizeGiB,
    snapshotId: "snap-0077000000000000a",
    availabilityZone: instance.zone,
    status: instance.state === "terminated" ? "available" : "in-use",
    createTime: instance.launchTime,
    attachmentSet:
      instance.state === "terminated"
        ? []
        : [
            {
              volumeId: volume.id,
              instanceId: instance.id,
              device: volume.deviceName,
              status: "attached",
              attachTime: instance.launchTime,
              deleteOnTermination: volume.deleteOnTermination,
            },
          ],
    tagSet: tagsXml(volume.tags),
    ...volumeTypeXml(volume),
  };
}

/** `Volume` that is no root. */
export function dataVolumeXml(volume: Volume): XmlNode {
  return {
    volumeId: volume.id,
    size: volume.sizeGiB,
    snapshotId: "",
    availabilityZone: volume.zone,
    status: volume.state,
    createTime: volume.createdAt,
    attachmentSet: volume.attachment === undefined ? [] : [attachmentXml(volume)],
    tagSet: tagsXml(volume.tags),
    ...volumeTypeXml(volume),
  };
}

/** `VolumeAttachment` of a data volume; the model keeps them when their instance is terminated. */
export function attachmentXml({ id, attachment }: Volume): XmlNode {
  return {
    volumeId: id,
    instanceId: attachment?.instance,
    device: attachment?.device,
    status: attachment?.state ?? "detached",
    attachTime: attachment?.since,
    deleteOnTermination: false,
  };
}

function dataMappingXml({ id, attachment }: Volume): XmlNode {
  return {
    deviceName: attachment?.device,
    ebs: {
      volumeId: id,
      status: attachment?.state === "busy" ? "detaching" : attachment?.state,
      attachTime: attachment?.since,
      deleteOnTermination: false,
    },
  };
}

function volumeTypeXml(
  volume: Omit<RootVolume, "id" | "deviceName" | "deleteOnTermination" | "tags">,
): XmlNode {
  return {
    volumeType: volume.type,
    iops: volume.iops,
    throughput: volume.throughput,
    encrypted: volume.encrypted,
    kmsKeyId: volume.kmsKeyId,
    multiAttachEnabled: false,
  };
}

function volumeMappingXml({ volume, launchTime }: Instance): XmlNode {
  return {
    deviceName: volume.deviceName,
    ebs: {
      volumeId: volume.id,
      status: "attached",
      attachTime: launchTime,
      deleteOnTermination: volume.deleteOnTermination,
    },
  };
}

function profileArn(profile: string): string {
  return profile.startsWith("arn:") ? profile : `arn:aws:iam::${ACCOUNT_ID}:instance-profile/${profile}`;
}
