import type { RunInstancesCommandInput } from "@aws-sdk/client-ec2";
import type { LaunchPlan } from "../cloud.ts";
import { readDetails } from "./launch-details.ts";
import { toTagList } from "./tags.ts";

/** One hop: containers in the guest, which are two hops away, must not reach its machine's metadata and credentials. */
const METADATA_HOP_LIMIT = 1;

/**
 * The request that launches a plan. It depends only on its arguments: after a crash the same plan must give the same request,
 * or EC2 would refuse its token.
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
    // An interface, since only there a public address can be declined that the subnet would give.
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
      // Keys of our tags contain "/", which EC2 refuses if the account's default is to show tags in the metadata.
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
