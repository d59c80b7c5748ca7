import {
  CAPACITY,
  THROTTLED,
  STATE,
  GONE,
  VOLUME_STATE,
  VOLUME_GONE,
  QUOTA,
  PARAMETER,
  ENDPOINT,
  PERMISSION,
  CREDENTIALS,
  SERVER,
  imageRule,
  kmsRule,
  networkRule,
  type ErrorRule,
} from "./error-rules.ts";

/**
 * One rule per EC2 error code (EC2 API reference, "Error codes"). Codes that are not listed are judged by
 * `ruleFor` (to-cloud-error.ts).
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
