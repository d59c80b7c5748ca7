import { expect } from "chai";
import type { CloudErrorClass } from "../../../src/machines/errors.ts";
import { ERROR_TABLE, ruleFor, toCloudError } from "../../../src/machines/ec2/error-table.ts";
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
  ],
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
        expect(calls).to.equal(errorClass === "throttled" ? 4 : 1);
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

  it("judges codes that it does not know by their family, and repeats what nobody has heard of", () => {
    const classOf = (code: string, status: number): string => ruleFor(code, "", status).class;
    expect(classOf("InsufficientFooCapacity", 400)).to.equal("capacity");
    expect(classOf("FooLimitExceeded", 400)).to.equal("quota");
    expect(classOf("InvalidFoo.NotFound", 400)).to.equal("parameter");
    expect(classOf("UnauthorizedFoo", 403)).to.equal("permission");
    expect(classOf("InvalidFoo", 500)).to.equal("server");
    expect(classOf("FooBar", 400)).to.equal("server");
    expect(classOf("constructor", 400)).to.equal("server");
  });

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
