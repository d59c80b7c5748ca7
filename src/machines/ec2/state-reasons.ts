import { NO_CAPACITY, type StateReason } from "../cloud.ts";

/** What one reason of EC2 means for whoever wants the machine. */
interface StateRule {
  /** CamelCase, for conditions and events. */
  readonly reason: string;
  /** What a person should know and do. */
  readonly advice: string;
}

const SPOT: StateRule = {
  reason: "SpotInterrupted",
  advice:
    "EC2 has taken a Spot instance back; launch on demand, by an image and account settings that ask for no Spot",
};

/**
 * Why EC2 has ended or stopped an instance by itself or for somebody else (EC2 API reference, "StateReason"). This is all that
 * EC2 says of a launch or start that it accepted and could not carry out.
 */
export const STATE_REASONS: Readonly<Record<string, StateRule>> = {
  "Server.InsufficientInstanceCapacity": {
    reason: NO_CAPACITY,
    advice:
      "EC2 has no capacity for this type in this zone now; another type or zone is tried where possible. Add types to the size or subnets to the class",
  },
  "Server.InternalError": {
    reason: "ServerInternalError",
    advice: "EC2 failed inside; where this lasts, look at the AWS Health dashboard, or ask AWS support",
  },
  "Server.ScheduledStop": {
    reason: "HostRetired",
    advice: "EC2 retires the host; the next start is on another one",
  },
  "Server.SpotInstanceShutdown": SPOT,
  "Server.SpotInstanceTermination": SPOT,
  "Client.InstanceInitiatedShutdown": {
    reason: "GuestShutDown",
    advice: "the guest has shut itself down; look in the machine's console output for why",
  },
  "Client.InstanceTerminated": {
    reason: "InstanceTerminated",
    advice: "it was terminated or rebooted while an image was made of it; make images of stopped machines",
  },
  "Client.InternalError": {
    reason: "VolumeNotUsable",
    advice:
      "EC2 could not make or open a volume of the machine, mostly since the KMS key of a volume or of the image is disabled or may not be used by the operator's identity; correct the key's policy and grants, or choose another key in the class",
  },
  "Client.InvalidSnapshot.NotFound": {
    reason: "SnapshotNotFound",
    advice: "a snapshot of the image is gone; choose another image in the class",
  },
  "Client.UserInitiatedHibernate": {
    reason: "StoppedOutside",
    advice: "somebody has hibernated the machine; AWS CloudTrail says who",
  },
  "Client.UserInitiatedShutdown": {
    reason: "StoppedOutside",
    advice: "somebody has stopped or terminated the machine; AWS CloudTrail says who",
  },
  "Client.VolumeLimitExceeded": {
    reason: "VolumeLimitExceeded",
    advice:
      "the account's limit of EBS volumes or storage is used up; delete some, or ask AWS for more (Service Quotas)",
  },
};

/** Codes of stops that keep the memory: `Client.UserInitiatedHibernate` (EC2 API reference, "StateReason"). */
const HIBERNATED = /Hibernate/;

/** What EC2's reason means. A code that is not in the table becomes the reason, without its dots. */
export function stateReason(code: string, message: string): StateReason {
  const known = Object.hasOwn(STATE_REASONS, code) ? STATE_REASONS[code] : undefined;
  return {
    code,
    message,
    hibernated: HIBERNATED.test(code),
    reason: known?.reason ?? (code.replace(/\W/g, "") || "MachineEnded"),
    advice: known?.advice ?? 'look the code up in the EC2 user guide, "Troubleshoot instance launch issues"',
  };
}
