/**
 * Reads statuses that an older version of the operator wrote. What must survive a restart is in fields of the status; that
 * version wrote some of it as reasons of conditions only. Here such a status is read as if it had the fields, and the first
 * write adds them.
 *
 * An absent field means that nothing is wrong. So an older status is recognised by a condition that says otherwise: this
 * version never writes such a condition without its field (test/operator/older-status.test.ts).
 */
import { findCondition } from "../satellite/conditions.ts";
import type { Health, Hibernation, LaunchIntent, SatelliteStatus, Unready } from "../satellite/resource.ts";

const TROUBLES: readonly Health["trouble"][] = [
  "Rebooting",
  "Restarting",
  "Replacing",
  "RecoveryPaused",
  "Unreachable",
  "Stuck",
  "MachineLost",
  "OtherVM",
  "TLSNotServed",
];

/** `status.health`. */
export function healthOf(status: SatelliteStatus): Health | undefined {
  if (status.health !== undefined) {
    return status.health;
  }
  const healthy = findCondition(status.conditions, "Healthy");
  const trouble = TROUBLES.find((one) => healthy?.status === "False" && healthy.reason === one);
  return trouble === undefined ? undefined : { trouble, message: healthy?.message ?? "" };
}

/** Reasons of the condition Hibernatable that meant what `status.machine.hibernation` says. */
const HIBERNATION: Readonly<Record<string, Hibernation["trouble"]>> = {
  HibernationRefused: "Refused",
  MemoryLost: "MemoryLost",
};

/** `status.machine.hibernation`. */
export function hibernationOf({ machine, conditions }: SatelliteStatus): Hibernation | undefined {
  if (machine?.hibernation !== undefined) {
    return machine.hibernation;
  }
  const hibernatable = findCondition(conditions, "Hibernatable");
  const trouble = HIBERNATION[hibernatable?.reason ?? ""];
  return machine === undefined || trouble === undefined
    ? undefined
    : { trouble, message: hibernatable?.message ?? "" };
}

/** `status.unready`. */
export function unreadyOf({ unready, conditions, phase }: SatelliteStatus): Unready | undefined {
  const ready = findCondition(conditions, "Ready");
  if (unready !== undefined || ready?.status !== "False") {
    return unready;
  }
  return { since: ready.lastTransitionTime, ...(phase === "Failed" ? { needsPerson: true } : {}) };
}

/** `status.launch.details`; an older version wrote those of EC2 as fields beside the others. `undefined`: there are none. */
export function launchDetailsOf(launch: LaunchIntent): Readonly<Record<string, string>> | undefined {
  const { details, subnet, securityGroups = [], rootVolume, instanceProfile } = launch;
  if (details !== undefined || subnet === undefined || rootVolume === undefined) {
    return details;
  }
  const { sizeGiB, type, iops, throughput, kmsKeyID } = rootVolume;
  const known = {
    subnet,
    securityGroups: securityGroups.join(","),
    rootVolumeSizeGiB: sizeGiB.toString(),
    rootVolumeType: type,
    rootVolumeIOPS: iops?.toString(),
    rootVolumeThroughput: throughput?.toString(),
    rootVolumeKMSKeyID: kmsKeyID,
    instanceProfile,
  };
  return Object.fromEntries(
    Object.entries(known).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
