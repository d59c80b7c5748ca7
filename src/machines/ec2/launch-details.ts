import type { LaunchPlan, VolumeShape } from "../cloud.ts";
import { CloudError } from "../errors.ts";

/** What a launch in EC2 needs beside what every cloud's does. */
export interface LaunchDetails {
  readonly subnet: string;
  readonly securityGroups: readonly string[];
  readonly rootVolume: VolumeShape;
  readonly instanceProfile?: string;
}

/** As texts, which the operator stores and hands back. */
export function writeDetails(details: LaunchDetails): LaunchPlan["details"] {
  const { subnet, securityGroups, rootVolume, instanceProfile } = details;
  const { sizeGiB, type, iops, throughput, kmsKeyID } = rootVolume;
  return {
    subnet,
    securityGroups: securityGroups.join(","),
    rootVolumeSizeGiB: String(sizeGiB),
    rootVolumeType: type,
    ...(iops === undefined ? {} : { rootVolumeIOPS: String(iops) }),
    ...(throughput === undefined ? {} : { rootVolumeThroughput: String(throughput) }),
    ...(kmsKeyID === undefined ? {} : { rootVolumeKMSKeyID: kmsKeyID }),
    ...(instanceProfile === undefined ? {} : { instanceProfile }),
  };
}

/** GiB of the root volume in written details; `undefined` when they do not say. */
export function rootVolumeGiBOf(details: LaunchPlan["details"] | undefined): number | undefined {
  const sizeGiB = Number(details?.["rootVolumeSizeGiB"]);
  return sizeGiB > 0 ? sizeGiB : undefined;
}

/** @throws CloudError of class `parameter` when they are not those that were written */
export function readDetails({ details }: LaunchPlan): LaunchDetails {
  const { subnet, rootVolumeType: type, rootVolumeKMSKeyID: kmsKeyID, instanceProfile } = details;
  const sizeGiB = rootVolumeGiBOf(details);
  if (subnet === undefined || type === undefined || sizeGiB === undefined) {
    throw new CloudError({
      code: "LaunchDetailsIncomplete",
      class: "parameter",
      reason: "LaunchIntentIncomplete",
      message: "status.launch.details lacks what EC2 needs; it is planned anew",
    });
  }
  const { rootVolumeIOPS: iops, rootVolumeThroughput: throughput } = details;
  return {
    subnet,
    securityGroups: (details["securityGroups"] ?? "").split(",").filter((id) => id !== ""),
    rootVolume: {
      sizeGiB,
      type,
      ...(iops === undefined ? {} : { iops: Number(iops) }),
      ...(throughput === undefined ? {} : { throughput: Number(throughput) }),
      ...(kmsKeyID === undefined ? {} : { kmsKeyID }),
    },
    ...(instanceProfile === undefined ? {} : { instanceProfile }),
  };
}
