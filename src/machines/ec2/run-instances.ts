import type { RunInstancesCommandInput } from "@aws-sdk/client-ec2";
import type { LaunchPlan } from "../cloud.ts";
import { readDetails } from "./launch-details.ts";
import { toTagList } from "./tags.ts";

/** Containers in the guest, one hop further away, must not reach the metadata and credentials of its machine. */
const METADATA_HOP_LIMIT = 1;

/**
 * The request that launches a plan. It depends on nothing but its arguments, so that the same plan is the
 * same request after a crash and EC2 takes its token for what it is.
 *
 * @param rootDeviceName of the plan's image
 */
export function toRunInstances(
  plan: LaunchPlan,
  rootDeviceName: string,
  userData: string,
): RunInstancesCommandInput {
  const { subnet, securityGroups, rootVolume: volume, instanceProfile: profile } = readDetails(plan);
  const tags = toTagList(plan.tags);
  return {
    ClientToken: plan.token,
    MinCount: 1,
    MaxCount: 1,
    ImageId: plan.image,
    InstanceType: plan.type as NonNullable<RunInstancesCommandInput["InstanceType"]>,
    // Given as an interface, since only so a public address can be refused that the subnet would give.
    NetworkInterfaces: [
      {
        DeviceIndex: 0,
        SubnetId: subnet,
        Groups: [...securityGroups],
        AssociatePublicIpAddress: false,
        DeleteOnTermination: true,
      },
    ],
    UserData: Buffer.from(userData, "utf8").toString("base64"),
    HibernationOptions: { Configured: plan.hibernate },
    InstanceInitiatedShutdownBehavior: "stop",
    MetadataOptions: {
      HttpTokens: "required",
      HttpPutResponseHopLimit: METADATA_HOP_LIMIT,
      HttpEndpoint: "enabled",
      // Our tags' keys contain "/", which EC2 refuses where the account has instance metadata show tags.
      InstanceMetadataTags: "disabled",
    },
    BlockDeviceMappings: [
      {
        DeviceName: rootDeviceName,
        Ebs: {
          VolumeSize: volume.sizeGiB,
          VolumeType: volume.type as "gp3",
          Encrypted: true,
          DeleteOnTermination: true,
          ...(volume.iops === undefined ? {} : { Iops: volume.iops }),
          ...(volume.throughput === undefined ? {} : { Throughput: volume.throughput }),
          ...(volume.kmsKeyID === undefined ? {} : { KmsKeyId: volume.kmsKeyID }),
        },
      },
    ],
    TagSpecifications: [
      { ResourceType: "instance", Tags: tags },
      { ResourceType: "volume", Tags: tags },
    ],
    ...(profile === undefined
      ? {}
      : { IamInstanceProfile: profile.startsWith("arn:") ? { Arn: profile } : { Name: profile } }),
  };
}
