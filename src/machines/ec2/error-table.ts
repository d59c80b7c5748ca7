import { toError } from "../../base/errors.ts";
import { CloudError, type CloudErrorClass } from "../errors.ts";

/** What a caller should do about an error. */
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

const CAPACITY: ErrorRule = {
  class: "capacity",
  reason: "InsufficientCapacity",
  advice:
    "EC2 has no capacity for this type in this zone now; another type or zone is tried where possible. Add types to the size or subnets to the class",
  retry: "next-combination",
};
const THROTTLED: ErrorRule = {
  class: "throttled",
  reason: "Throttled",
  advice:
    "the account sends EC2 more requests than it may; the call is repeated later. Look for other tools that call EC2 in this account and region",
  retry: "back-off",
};
const STATE: ErrorRule = {
  class: "state",
  reason: "IncorrectState",
  advice:
    "the instance is in a state that does not allow this; it is looked at again and the call repeated when it can be",
  retry: "look-again",
};
const GONE: ErrorRule = {
  class: "gone",
  reason: "MachineNotFound",
  advice: "EC2 does not know the instance: it was just launched, or was terminated outside of the operator",
  retry: "look-again",
};
const VOLUME_STATE: ErrorRule = {
  class: "state",
  reason: "VolumeInUse",
  advice:
    "the volume is attached to an instance; it is looked at again. If that instance is none of ours, detach it",
  retry: "look-again",
};
const VOLUME_GONE: ErrorRule = {
  class: "gone",
  reason: "VolumeNotFound",
  advice: "EC2 does not know the volume: it was just created, or was deleted outside of the operator",
  retry: "look-again",
};
const QUOTA: ErrorRule = {
  class: "quota",
  reason: "QuotaExceeded",
  advice: "a limit of the account is used up; ask AWS for more (Service Quotas) or let fewer machines run",
  retry: "back-off",
};
const PARAMETER: ErrorRule = {
  class: "parameter",
  reason: "InvalidClass",
  advice: "EC2 does not accept a parameter; correct spec.ec2 of the SatelliteClass",
  retry: "after-change",
};
const ENDPOINT: ErrorRule = {
  ...PARAMETER,
  reason: "EndpointUnsuitable",
  advice: "the EC2 endpoint does not know the action; check the endpoint that the operator is set to",
};
const PERMISSION: ErrorRule = {
  class: "permission",
  reason: "NotPermitted",
  advice: "the operator's AWS identity may not do this; correct its IAM policy",
  retry: "after-change",
};
const CREDENTIALS: ErrorRule = {
  class: "permission",
  reason: "CredentialsInvalid",
  advice:
    "AWS does not accept the operator's credentials; check the IAM role of its service account, and the machine's clock",
  retry: "after-change",
};
const REFUSED: ErrorRule = {
  class: "refused",
  reason: "Refused",
  advice:
    "AWS refuses the request, and nothing was done; its own words say why. Correct the SatelliteClass, or what they name in the account; it is tried again with growing pauses",
  retry: "back-off",
};
const SERVER: ErrorRule = {
  class: "server",
  reason: "CloudUnavailable",
  advice:
    "EC2 failed or did not answer, so it is not known whether the call took effect; it is looked at and repeated",
  retry: "back-off",
};

/**
 * One rule per EC2 error code (EC2 API reference, "Error codes"). Codes that are not listed are judged by
 * {@link ruleFor}.
 */
export const ERROR_TABLE: Readonly<Record<string, ErrorRule>> = {
  InsufficientInstanceCapacity: CAPACITY,
  InsufficientHostCapacity: CAPACITY,
  InsufficientReservedInstanceCapacity: CAPACITY,
  InsufficientCapacity: CAPACITY,
  InsufficientCapacityOnHost: CAPACITY,
  InsufficientReservedInstancesCapacity: CAPACITY,
  UnfulfillableCapacity: CAPACITY,
  SpotMaxPriceTooLow: CAPACITY,
  Unsupported: {
    ...CAPACITY,
    reason: "TypeNotInZone",
    advice: "the zone does not have this instance type; another zone or type is tried",
  },
  InsufficientFreeAddressesInSubnet: {
    ...CAPACITY,
    reason: "SubnetFull",
    advice: "the subnet has no free addresses; another one is tried. Add larger subnets to the class",
  },
  InsufficientAddressCapacity: {
    ...CAPACITY,
    reason: "SubnetFull",
    advice: "the subnet has no free addresses; another one is tried. Add larger subnets to the class",
  },
  InsufficientVolumeCapacity: {
    ...CAPACITY,
    reason: "InsufficientVolumeCapacity",
    advice: "the zone has no capacity for this type of volume now; another zone is tried",
  },
  VolumeTypeNotAvailableInZone: {
    ...CAPACITY,
    reason: "VolumeTypeNotInZone",
    advice:
      "the zone does not have this type of volume; another zone is tried. Correct the volumes of the SatelliteClass",
  },

  RequestLimitExceeded: THROTTLED,
  Throttling: THROTTLED,
  ThrottlingException: THROTTLED,
  ThrottledException: THROTTLED,
  RequestThrottled: THROTTLED,
  RequestThrottledException: THROTTLED,
  TooManyRequestsException: THROTTLED,
  EC2ThrottledException: THROTTLED,
  BandwidthLimitExceeded: THROTTLED,
  SlowDown: THROTTLED,

  IncorrectInstanceState: STATE,
  IncorrectState: STATE,
  IncorrectSpotRequestState: STATE,
  InvalidState: STATE,
  VolumeInUse: VOLUME_STATE,

  "InvalidInstanceID.NotFound": GONE,
  "InvalidInstanceID.Malformed": {
    ...GONE,
    advice: "the instance ID is not one; correct status.machine.id or the annotation satellites.dev/adopt",
  },
  "InvalidInstanceID.NotLinkable": GONE,
  InvalidInstanceID: GONE,

  VcpuLimitExceeded: QUOTA,
  InstanceLimitExceeded: QUOTA,
  MaxSpotInstanceCountExceeded: QUOTA,
  VolumeLimitExceeded: QUOTA,
  MaxIOPSLimitExceeded: QUOTA,
  NetworkInterfaceLimitExceeded: QUOTA,
  TagLimitExceeded: {
    ...QUOTA,
    reason: "TooManyTags",
    advice: "a resource can have 50 tags; remove some from spec.ec2.tags of the SatelliteClass",
    retry: "after-change",
  },
  PendingVerification: {
    ...QUOTA,
    reason: "AccountPending",
    advice: "AWS is still verifying the account for this region; this takes up to four hours",
  },

  InvalidParameterValue: PARAMETER,
  InvalidParameter: PARAMETER,
  InvalidParameterCombination: PARAMETER,
  MissingParameter: PARAMETER,
  UnknownParameter: PARAMETER,
  UnsupportedOperation: PARAMETER,
  ValidationError: PARAMETER,
  ValidationException: PARAMETER,
  "InvalidAMIID.NotFound": imageRule(),
  "InvalidAMIID.Malformed": imageRule(),
  "InvalidAMIID.Unavailable": imageRule(),
  ParameterNotFound: {
    ...imageRule(),
    advice: "SSM does not have the parameter; correct spec.ec2.image.ssmParameter of the SatelliteClass",
  },
  "InvalidSubnetID.NotFound": networkRule("spec.ec2.subnets"),
  InvalidSubnet: networkRule("spec.ec2.subnets"),
  "InvalidGroup.NotFound": networkRule("spec.ec2.securityGroups"),
  "InvalidSecurityGroupID.NotFound": networkRule("spec.ec2.securityGroups"),
  "InvalidGroupId.Malformed": networkRule("spec.ec2.securityGroups"),
  InvalidInstanceType: {
    ...PARAMETER,
    advice: "the region does not have the instance type; correct the types of the size in the SatelliteClass",
  },
  NoSuchEntity: {
    ...PARAMETER,
    reason: "InstanceProfileNotFound",
    advice:
      "IAM does not have the instance profile; correct spec.ec2.instanceProfile of the SatelliteClass, or create it",
  },
  VPCIdNotSpecified: networkRule("spec.ec2.subnets"),
  VPCResourceNotSpecified: networkRule("spec.ec2.subnets"),
  UnknownVolumeType: {
    ...PARAMETER,
    advice: "correct the types of volumes in spec.ec2 of the SatelliteClass",
  },
  "UnknownVolumeType.Unsupported": {
    ...PARAMETER,
    advice: "correct the types of volumes in spec.ec2 of the SatelliteClass",
  },
  EncryptedVolumesNotSupported: {
    ...PARAMETER,
    advice: "the instance type takes no encrypted volumes, and ours are; correct the types of the size",
  },
  InvalidBlockDeviceMapping: { ...PARAMETER, advice: "correct spec.ec2.rootVolume of the SatelliteClass" },
  "InvalidUserData.Malformed": { ...PARAMETER, advice: "the user data is malformed; correct its secret" },
  "InvalidKMSKey.InvalidState": kmsRule(),
  DisabledException: kmsRule(),
  KMSInvalidStateException: kmsRule(),
  KeyUnavailableException: kmsRule(),
  "InvalidVolume.NotFound": VOLUME_GONE,
  "InvalidAttachment.NotFound": {
    ...VOLUME_STATE,
    advice: "the volume is not attached there; it is looked at again",
  },
  "InvalidVolume.ZoneMismatch": {
    ...PARAMETER,
    reason: "ZoneMismatch",
    advice:
      "the volume is in another zone than the instance; somebody has changed status.volume or status.machine",
  },
  "InvalidZone.NotFound": networkRule("spec.ec2.subnets"),
  FilterLimitExceeded: PARAMETER,
  SerializationException: PARAMETER,
  InvalidAction: ENDPOINT,
  NoSuchVersion: ENDPOINT,
  UnknownOperationException: ENDPOINT,

  UnsupportedHibernationConfiguration: {
    class: "hibernation-unsupported",
    reason: "HibernationUnsupported",
    advice:
      "this instance cannot hibernate, because it was launched without that or its type or image cannot; it is stopped instead",
    retry: "after-change",
  },

  UnauthorizedOperation: PERMISSION,
  "Client.UnauthorizedOperation": PERMISSION,
  AccessDenied: PERMISSION,
  AccessDeniedException: PERMISSION,
  Blocked: { ...PERMISSION, advice: "AWS has blocked the account; contact AWS support" },
  OptInRequired: {
    ...PERMISSION,
    advice:
      "the account is not subscribed to the service or image; accept its terms in the AWS marketplace or enable the region",
  },
  AuthFailure: CREDENTIALS,
  InvalidClientTokenId: CREDENTIALS,
  UnrecognizedClientException: CREDENTIALS,
  MissingAuthenticationToken: CREDENTIALS,
  SignatureDoesNotMatch: CREDENTIALS,
  IncompleteSignature: CREDENTIALS,
  RequestExpired: CREDENTIALS,
  ExpiredToken: CREDENTIALS,
  ExpiredTokenException: CREDENTIALS,
  CredentialsProviderError: CREDENTIALS,
  // STS, on the token of a web identity.
  InvalidIdentityToken: CREDENTIALS,
  IDPRejectedClaim: CREDENTIALS,
  IDPCommunicationError: CREDENTIALS,

  OperationNotPermitted: {
    class: "protection",
    reason: "MachineProtected",
    advice: "somebody has protected the instance against this; lift its stop or termination protection",
    retry: "back-off",
  },

  IdempotentInstanceTerminated: {
    class: "token",
    reason: "LaunchTokenUsed",
    advice: "the machine of this attempt was launched and terminated; a new attempt is made",
    retry: "new-attempt",
  },
  IdempotentParameterMismatch: {
    class: "token",
    reason: "LaunchTokenUsed",
    advice: "this attempt was already launched with other parameters; its machine is looked for",
    retry: "look-again",
  },

  InvalidNextToken: {
    ...SERVER,
    advice: "a list was changed or too old while it was read in pages; it is read again from its beginning",
  },
  InternalError: SERVER,
  InternalFailure: SERVER,
  ServerInternal: SERVER,
  Unavailable: SERVER,
  ServiceUnavailable: SERVER,
  "Client.InternalError": SERVER,
  TimeoutError: SERVER,
  RequestTimeout: SERVER,
  AbortError: SERVER,
};

function imageRule(): ErrorRule {
  return {
    ...PARAMETER,
    reason: "ImageNotFound",
    advice: "the image does not exist here; correct spec.ec2.image of the SatelliteClass",
  };
}

function kmsRule(): ErrorRule {
  return {
    ...PARAMETER,
    reason: "KeyNotUsable",
    advice:
      "the KMS key of a volume cannot be used; enable it, correct its policy, or choose another one in the class",
  };
}

function networkRule(field: string): ErrorRule {
  return {
    ...PARAMETER,
    reason: "NetworkNotFound",
    advice: `a subnet or security group does not exist here; correct ${field} of the SatelliteClass`,
  };
}

/** `UnsupportedOperation` of an instance that booted too recently to hibernate. */
export const HIBERNATION_NOT_READY: ErrorRule = {
  class: "hibernation-not-ready",
  reason: "HibernationNotReady",
  advice: "the instance booted too recently to hibernate; this is tried again shortly",
  retry: "back-off",
};

/** Families of codes, for those that are not in the table. The first match counts. */
const PATTERNS: readonly (readonly [RegExp, ErrorRule])[] = [
  [/^Insufficient.*Capacity$/, CAPACITY],
  [/Throttl|RequestLimit|RateExceeded/, THROTTLED],
  [/^Incorrect.*State$|\.IncorrectState$/, STATE],
  [/LimitExceeded$|QuotaExceeded$|CountExceeded$|IOPSLimit$/, QUOTA],
  [/^Unauthorized|AccessDenied|^NotAuthorized/, PERMISSION],
  [/ExpiredToken|Signature|Credential/, CREDENTIALS],
  [/^KMS|KmsKey|KMSKey/, kmsRule()],
  [
    /^Invalid|^Missing|^Malformed|^Unknown|^Unsupported|NotFound(?:Exception)?$|\.Malformed$|NotSupported$|NotSpecified$/,
    PARAMETER,
  ],
];

/**
 * The rule for an error.
 *
 * @param code EC2's code
 * @param message EC2's message; `UnsupportedOperation` is only told apart by it
 * @param status HTTP status, 0 when there was no answer
 */
export function ruleFor(code: string, message: string, status: number): ErrorRule {
  const hibernation = /hibernat/i.test(message);
  if (code === "UnsupportedOperation" && hibernation) {
    const early = /not ready|not yet ready|retry/i.test(message);
    return early ? HIBERNATION_NOT_READY : (ERROR_TABLE["UnsupportedHibernationConfiguration"] ?? PARAMETER);
  }
  const listed = Object.hasOwn(ERROR_TABLE, code) ? ERROR_TABLE[code] : undefined;
  if (listed !== undefined) {
    return listed;
  }
  // Whatever the code: 4xx is a refusal (RFC 9110, section 15.5), but for a time-out and for one request too many.
  if (status < 400 || status >= 500 || status === 408) {
    return SERVER;
  }
  if (status === 429) {
    return THROTTLED;
  }
  return PATTERNS.find(([pattern]) => pattern.test(code))?.[1] ?? REFUSED;
}

/**
 * Turns what an SDK call threw into a `CloudError`.
 *
 * @param action EC2 action, for the message
 */
export function toCloudError(thrown: unknown, action: string): CloudError {
  if (thrown instanceof CloudError) {
    return thrown;
  }
  const error = toError(thrown);
  const code = codeOf(error);
  const rule = ruleFor(code, error.message, statusOf(error));
  return new CloudError({
    code,
    class: rule.class,
    reason: rule.reason,
    message: `${action}: ${code}: ${rule.advice} (EC2 says: ${error.message})`,
    cause: error,
  });
}

/** EC2's code; for a failure of the connection the operating system's, e.g. `ECONNRESET`. */
function codeOf(error: Error): string {
  const code: unknown = Reflect.get(error, "Code") ?? Reflect.get(error, "code");
  if (typeof code === "string" && code !== "") {
    return code;
  }
  return error.name === "Error" ? "Unknown" : error.name;
}

function statusOf(error: Error): number {
  const metadata: unknown = Reflect.get(error, "$metadata");
  const status: unknown =
    typeof metadata === "object" && metadata !== null ? Reflect.get(metadata, "httpStatusCode") : 0;
  return typeof status === "number" ? status : 0;
}
