import { expect } from "chai";
import type { CloudErrorClass } from "../../../src/machines/errors.ts";
import { ERROR_TABLE } from "../../../src/machines/ec2/error-table.ts";
import { ruleFor, toCloudError } from "../../../src/machines/ec2/to-cloud-error.ts";
import { createAccount, launchOne } from "./ec2-account.ts";

/** What the operator must take each code for; written down apart from the table on purpose. */
const EXPECTED: Readonly<Record<CloudErrorClass, readonly string[]>> = {
  capacity: [
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientReservedInstanceCapacity",
    "InsufficientCapacity",
    "InsufficientCapacityOnHost",
    "InsufficientVolumeCapacity",
    "InsufficientFreeAddressesInSubnet",
    "InsufficientAddressCapacity",
    "SpotMaxPriceTooLow",
    "InsufficientReservedInstancesCapacity",
    "UnfulfillableCapacity",
    "VolumeTypeNotAvailableInZone",
    "Unsupported",
  ],
  throttled: [
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "EC2ThrottledException",
    "BandwidthLimitExceeded",
    "SlowDown",
  ],
  state: [
    "IncorrectInstanceState",
    "IncorrectState",
    "IncorrectSpotRequestState",
    "InvalidState",
    "VolumeInUse",
    "InvalidAttachment.NotFound",
  ],
  gone: [
    "InvalidVolume.NotFound",
    "InvalidInstanceID.NotFound",
    "InvalidInstanceID.Malformed",
    "InvalidInstanceID.NotLinkable",
    "InvalidInstanceID",
  ],
  quota: [
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
    "MaxSpotInstanceCountExceeded",
    "VolumeLimitExceeded",
    "MaxIOPSLimitExceeded",
    "NetworkInterfaceLimitExceeded",
    "TagLimitExceeded",
    "PendingVerification",
  ],
  parameter: [
    "InvalidParameterValue",
    "InvalidParameter",
    "InvalidParameterCombination",
    "MissingParameter",
    "UnknownParameter",
    "UnsupportedOperation",
    "ValidationError",
    "ValidationException",
    "InvalidAMIID.NotFound",
    "InvalidAMIID.Malformed",
    "InvalidAMIID.Unavailable",
    "ParameterNotFound",
    "InvalidSubnetID.NotFound",
    "InvalidSubnet",
    "InvalidGroup.NotFound",
    "InvalidSecurityGroupID.NotFound",
    "InvalidGroupId.Malformed",
    "InvalidInstanceType",
    "InvalidBlockDeviceMapping",
    "InvalidUserData.Malformed",
    "InvalidKMSKey.InvalidState",
    "DisabledException",
    "KMSInvalidStateException",
    "KeyUnavailableException",
    "NoSuchEntity",
    "VPCIdNotSpecified",
    "VPCResourceNotSpecified",
    "UnknownVolumeType",
    "UnknownVolumeType.Unsupported",
    "EncryptedVolumesNotSupported",
    "InvalidVolume.ZoneMismatch",
    "InvalidZone.NotFound",
    "InvalidAction",
    "FilterLimitExceeded",
    "SerializationException",
    "NoSuchVersion",
    "UnknownOperationException",
  ],
  permission: [
    "UnauthorizedOperation",
    "Client.UnauthorizedOperation",
    "AccessDenied",
    "AccessDeniedException",
    "Blocked",
    "OptInRequired",
    "AuthFailure",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "MissingAuthenticationToken",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "RequestExpired",
    "ExpiredToken",
    "ExpiredTokenException",
    "CredentialsProviderError",
    "InvalidIdentityToken",
    "IDPRejectedClaim",
    "IDPCommunicationError",
  ],
  refused: [],
  "not-sent": [],
  protection: ["OperationNotPermitted"],
  token: ["IdempotentParameterMismatch", "IdempotentInstanceTerminated"],
  "hibernation-not-ready": [],
  "hibernation-unsupported": ["UnsupportedHibernationConfiguration"],
  server: [
    "InternalError",
    "InvalidNextToken",
    "InternalFailure",
    "ServerInternal",
    "Unavailable",
    "ServiceUnavailable",
    "Client.InternalError",
    "TimeoutError",
    "RequestTimeout",
    "AbortError",
  ],
};

/**
 * Codes that launches, starts, stops and volumes may be refused with beside those of the table, by the service whose
 * error table has them (EC2 API reference, "Client error codes"; IAM, KMS and SSM API references, "Common errors").
 */
const CLIENT_ERRORS: Readonly<Record<string, readonly string[]>> = {
  EC2: [
    "AddressLimitExceeded",
    "DiskImageSizeTooLarge",
    "DryRunOperation",
    "IncorrectModificationState",
    "InvalidAffinity",
    "InvalidAvailabilityZone",
    "InvalidCapacityReservationId.NotFound",
    "InvalidCharacter",
    "InvalidFormat",
    "InvalidHostID.NotFound",
    "InvalidID",
    "InvalidIPAddress.InUse",
    "InvalidInput",
    "InvalidInstanceAttributeValue",
    "InvalidKeyPair.NotFound",
    "InvalidLaunchTemplateId.NotFound",
    "InvalidNetworkInterface.InUse",
    "InvalidPlacementGroup.Unknown",
    "InvalidRequest",
    "InvalidSecurity.RequestHasExpired",
    "InvalidSnapshot.NotFound",
    "InvalidStateTransition",
    "InvalidTagKey.Malformed",
    "InvalidTenancy",
    "InvalidVolumeID.Malformed",
    "InvalidVpcID.NotFound",
    "LegacySecurityGroup",
    "MissingInput",
    "NonEBSInstance",
    "NotExportable",
    "PrivateIpAddressLimitExceeded",
    "RequestResourceCountExceeded",
    "ReservationCapacityExceeded",
    "Resource.AlreadyAssigned",
    "ResourceCountExceeded",
    "SecurityGroupsPerInstanceLimitExceeded",
    "SnapshotLimitExceeded",
    "TargetCapacityLimitExceededException",
    "UnavailableHostRequirements",
    "UnknownPrincipalType.Unsupported",
    "UnsupportedHostConfiguration",
    "UnsupportedInstanceAttribute",
    "UnsupportedTenancy",
    "ValidationError",
    "ZonesMismatched",
  ],
  EBS: [
    "ConcurrentSnapshotLimitExceeded",
    "EncryptedVolumesNotSupported",
    "InvalidDevice.InUse",
    "InvalidParameterDependency",
    "InvalidVolume.ZoneMismatch",
    "VolumeIOPSLimit",
    "VolumeModificationSizeLimitExceeded",
    "VolumeTypeNotAvailableInZone",
  ],
  IAM: [
    "DeleteConflict",
    "EntityAlreadyExists",
    "MalformedPolicyDocument",
    "NoSuchEntity",
    "UnmodifiableEntity",
  ],
  KMS: [
    "DisabledException",
    "IncorrectKeyException",
    "InvalidGrantTokenException",
    "InvalidKeyUsageException",
    "KMSInvalidStateException",
    "KmsKeyNotAccessibleFault",
    "NotFoundException",
  ],
  SSM: ["InvalidKeyId", "ParameterNotFound", "ParameterVersionNotFound", "UnsupportedParameterType"],
};

/** Refusals of credentials, after which others are asked for and the call is repeated once. */
const RENEWABLE: ReadonlySet<string> = new Set([
  "AuthFailure",
  "InvalidClientTokenId",
  "UnrecognizedClientException",
  "RequestExpired",
  "ExpiredToken",
  "ExpiredTokenException",
]);

describe("the table of EC2 errors", () => {
  it("has every code that is expected, and no other", () => {
    expect(Object.keys(ERROR_TABLE).sort()).to.deep.equal(Object.values(EXPECTED).flat().sort());
  });

  it("gives every rule a reason in CamelCase, and advice", () => {
    for (const [code, { reason, advice }] of Object.entries(ERROR_TABLE)) {
      expect(reason, code).to.match(/^(?:[A-Z][a-z0-9]+)+$/);
      expect(advice.length, code).to.be.greaterThan(20);
    }
  });

  for (const [errorClass, codes] of Object.entries(EXPECTED)) {
    for (const code of codes.filter((name) => name !== "CredentialsProviderError" && name !== "AbortError")) {
      it(`takes ${code}, as the SDK reads it off the wire, for ${errorClass}`, async () => {
        const account = createAccount();
        const { machine } = await launchOne(account);
        account.endpoint.faults.add({ action: "StopInstances", kind: "refuse", code, times: 99 });
        const stopped = account.cloud.stop(machine.id, { hibernate: false, force: false });
        const [outcome] = await account.run(Promise.allSettled([stopped]));
        const reason: unknown = outcome?.status === "rejected" ? outcome.reason : undefined;
        expect(reason).to.include({ name: "CloudError", code, class: errorClass });
        expect(reason).to.have.property("outcomeUnknown", errorClass === "server");
        const calls = account.endpoint.log.calls("StopInstances").length;
        expect(calls).to.equal(errorClass === "throttled" ? 4 : RENEWABLE.has(code) ? 2 : 1);
      });
    }
  }

  it("tells the meanings of UnsupportedOperation apart by the message", () => {
    const rule = (message: string): string => ruleFor("UnsupportedOperation", message, 400).class;
    expect(rule("The instance 'i-1' is not ready to hibernate yet. Please retry in a few minutes.")).to.equal(
      "hibernation-not-ready",
    );
    expect(rule("Hibernation is not supported for this instance")).to.equal("hibernation-unsupported");
    expect(rule("This operation is not allowed for spot instances")).to.equal("parameter");
  });

  it("judges codes that it does not know by their family, and all others by the class of their status", () => {
    const classOf = (code: string, status: number): string => ruleFor(code, "", status).class;
    expect(classOf("InsufficientFooCapacity", 400)).to.equal("capacity");
    expect(classOf("FooLimitExceeded", 400)).to.equal("quota");
    expect(classOf("InvalidFoo.NotFound", 400)).to.equal("parameter");
    expect(classOf("UnauthorizedFoo", 403)).to.equal("permission");
    expect(classOf("InvalidFoo", 500)).to.equal("server");
    expect(classOf("FooBar", 400)).to.equal("refused");
    expect(classOf("FooBar", 409)).to.equal("refused");
    expect(classOf("FooBar", 408)).to.equal("server");
    expect(classOf("FooBar", 429)).to.equal("throttled");
    expect(classOf("FooBar", 503)).to.equal("server");
    expect(classOf("FooBar", 0)).to.equal("server");
    expect(classOf("constructor", 400)).to.equal("refused");
  });

  for (const [service, codes] of Object.entries(CLIENT_ERRORS)) {
    it(`knows of every client error of ${service} that nothing was done`, () => {
      const unknown = codes.filter((code) => ruleFor(code, "", 400).class === "server");
      expect(unknown).to.deep.equal([]);
    });
  }

  it("takes a broken connection for an unknown outcome", () => {
    const broken = Object.assign(new Error("socket hang up"), { name: "TimeoutError", code: "ECONNRESET" });
    expect(toCloudError(broken, "StartInstances")).to.include({
      code: "ECONNRESET",
      class: "server",
      outcomeUnknown: true,
      cause: broken,
    });
  });
});
