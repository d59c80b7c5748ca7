import type { CloudErrorClass } from "../errors.ts";

/** What the operator does about an error. */
export type Retry =
  /** Launch with the next type or zone. */
  | "next-combination"
  /** The same again, after a back-off. */
  | "back-off"
  /** Look at the machine; then decide. */
  | "look-again"
  /** Nothing until the class, the satellite, an account limit or a permission changes. */
  | "after-change"
  /** A new attempt with a new token. */
  | "new-attempt";

/** How one EC2 error code is treated. */
export interface ErrorRule {
  readonly class: CloudErrorClass;
  /** CamelCase reason for conditions and events. */
  readonly reason: string;
  /** What a person should know and do. */
  readonly advice: string;
  readonly retry: Retry;
}

export const CAPACITY: ErrorRule = {
  class: "capacity",
  reason: "InsufficientCapacity",
  advice:
    "EC2 has no capacity for this type in this zone now; another type or zone is tried where possible. Add types to the size or subnets to the class",
  retry: "next-combination",
};
export const THROTTLED: ErrorRule = {
  class: "throttled",
  reason: "Throttled",
  advice:
    "the account sends EC2 more requests than it may; the call is repeated later. Look for other tools that call EC2 in this account and region",
  retry: "back-off",
};
export const STATE: ErrorRule = {
  class: "state",
  reason: "IncorrectState",
  advice:
    "the instance is in a state that does not allow this; it is looked at again and the call repeated when it can be",
  retry: "look-again",
};
export const GONE: ErrorRule = {
  class: "gone",
  reason: "MachineNotFound",
  advice: "EC2 does not know the instance: it was just launched, or was terminated outside of the operator",
  retry: "look-again",
};
export const VOLUME_STATE: ErrorRule = {
  class: "state",
  reason: "VolumeInUse",
  advice:
    "the volume is attached to an instance; it is looked at again. If that instance is none of ours, detach it",
  retry: "look-again",
};
export const VOLUME_GONE: ErrorRule = {
  class: "gone",
  reason: "VolumeNotFound",
  advice: "EC2 does not know the volume: it was just created, or was deleted outside of the operator",
  retry: "look-again",
};
export const QUOTA: ErrorRule = {
  class: "quota",
  reason: "QuotaExceeded",
  advice: "a limit of the account is used up; ask AWS for more (Service Quotas) or let fewer machines run",
  retry: "back-off",
};
export const PARAMETER: ErrorRule = {
  class: "parameter",
  reason: "InvalidClass",
  advice: "EC2 does not accept a parameter; correct spec.ec2 of the SatelliteClass",
  retry: "after-change",
};
export const ENDPOINT: ErrorRule = {
  ...PARAMETER,
  reason: "EndpointUnsuitable",
  advice: "the EC2 endpoint does not know the action; check the endpoint that the operator is set to",
};
export const PERMISSION: ErrorRule = {
  class: "permission",
  reason: "NotPermitted",
  advice: "the operator's AWS identity may not do this; correct its IAM policy",
  retry: "after-change",
};
export const CREDENTIALS: ErrorRule = {
  class: "permission",
  reason: "CredentialsInvalid",
  advice:
    "AWS does not accept the operator's credentials; check the IAM role of its service account, and the machine's clock",
  retry: "after-change",
};
export const REFUSED: ErrorRule = {
  class: "refused",
  reason: "Refused",
  advice:
    "AWS refuses the request, and nothing was done; its own words say why. Correct the SatelliteClass, or what they name in the account; it is tried again with growing pauses",
  retry: "back-off",
};
export const SERVER: ErrorRule = {
  class: "server",
  reason: "CloudUnavailable",
  advice:
    "EC2 failed or did not answer, so it is not known whether the call took effect; it is looked at and repeated",
  retry: "back-off",
};

/** The class's image does not exist. */
export function imageRule(): ErrorRule {
  return {
    ...PARAMETER,
    reason: "ImageNotFound",
    advice: "the image does not exist here; correct spec.ec2.image of the SatelliteClass",
  };
}

/** A key of volumes cannot be used. */
export function kmsRule(): ErrorRule {
  return {
    ...PARAMETER,
    reason: "KeyNotUsable",
    advice:
      "the KMS key of a volume cannot be used; enable it, correct its policy, or choose another one in the class",
  };
}

/** A network of the class does not exist. @param field of the class that names it */
export function networkRule(field: string): ErrorRule {
  return {
    ...PARAMETER,
    reason: "NetworkNotFound",
    advice: `a subnet or security group does not exist here; correct ${field} of the SatelliteClass`,
  };
}

/** The rule for `UnsupportedOperation` of an instance that booted too recently to hibernate. */
export const HIBERNATION_NOT_READY: ErrorRule = {
  class: "hibernation-not-ready",
  reason: "HibernationNotReady",
  advice: "the instance booted too recently to hibernate; this is tried again shortly",
  retry: "back-off",
};
