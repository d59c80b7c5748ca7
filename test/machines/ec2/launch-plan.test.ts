import { expect } from "chai";
import type { LaunchPlan, LaunchRequest, VolumeShape } from "../../../src/machines/cloud.ts";
import { CloudError } from "../../../src/machines/errors.ts";
import { readDetails } from "../../../src/machines/ec2/launch-details.ts";
import type { AccountOptions } from "./ec2-account.ts";
import { defaultNetwork } from "../../../src/local/ec2/network.ts";
import { AMD64_IMAGE, ARM64_IMAGE, CLASS, REGION, createAccount, launchRequest } from "./ec2-account.ts";

async function resolve(
  overrides: Partial<LaunchRequest> = {},
  options: AccountOptions = {},
): Promise<{ readonly plan: LaunchPlan; readonly combinations: number }> {
  const account = createAccount(options);
  return account.run(account.cloud.resolve(launchRequest(overrides)));
}

async function refusal(overrides: Partial<LaunchRequest>, options: AccountOptions = {}): Promise<CloudError> {
  try {
    await resolve(overrides, options);
  } catch (error) {
    if (error instanceof CloudError) {
      return error;
    }
    throw error;
  }
  throw new TypeError("expected a refusal");
}

describe("resolving a launch", () => {
  it("goes through types in order of preference, and through all zones for each", async () => {
    const types = ["m7i.large", "m7a.large"];
    const plans = await Promise.all([0, 1, 2, 3, 4].map((combination) => resolve({ types, combination })));
    expect(plans.map(({ combinations }) => combinations)).to.deep.equal([4, 4, 4, 4, 4]);
    expect(plans.map(({ plan }) => plan.type)).to.deep.equal([
      ...types.flatMap((type) => [type, type]),
      types[0],
    ]);
    const zones = plans.map(({ plan }) => plan.zone);
    expect(new Set(zones.slice(0, 2))).to.deep.equal(new Set(["eu-west-1a", "eu-west-1b"]));
    expect(zones.slice(2)).to.deep.equal([zones[0], zones[1], zones[0]]);
  });

  it("begins in different zones for different satellites", async () => {
    const uids = Array.from({ length: 20 }, (_, index) => `uid-${index}`);
    const owner = launchRequest().owner;
    const plans = await Promise.all(uids.map((uid) => resolve({ owner: { ...owner, uid } })));
    expect(new Set(plans.map(({ plan }) => plan.zone)).size).to.equal(2);
  });

  it("leaves out types that the region, the architecture or a zone lacks", async () => {
    const types = ["x9z.large", "m7g.large", "m7i.large"];
    const notOffered = ["eu-west-1b/m7i.large"];
    const { plan, combinations } = await resolve({ types, combination: 5 }, { model: { notOffered } });
    expect(combinations).to.equal(1);
    expect(plan).to.include({ type: "m7i.large", zone: "eu-west-1a" });
    expect(readDetails(plan).subnet).to.equal("subnet-0077000000000000a");
  });

  describe("in subnets that have IPv6 alone", () => {
    const network = (...ipv6: readonly boolean[]): ReturnType<typeof defaultNetwork> => {
      const base = defaultNetwork(REGION);
      return {
        ...base,
        subnets: base.subnets.map((subnet, index) => ({ ...subnet, ipv6Native: ipv6[index] ?? false })),
      };
    };

    it("takes the others", async () => {
      const { plan, combinations } = await resolve(
        { combination: 1 },
        { model: { network: network(true, false) } },
      );
      expect(combinations).to.equal(1);
      expect(readDetails(plan).subnet).to.equal("subnet-0077000000000000b");
    });

    it("is refused at once where there are no others, with what to do", async () => {
      const error = await refusal({}, { model: { network: network(true, true) } });
      expect(error).to.include({ class: "parameter", reason: "SubnetIPv6Only" });
      expect(error.message).to.include("IPv4");
    });
  });

  it("makes the token of satellite, attempt, zone and type, and of nothing else", async () => {
    const { plan } = await resolve();
    const token = async (overrides: Partial<LaunchRequest>): Promise<string> =>
      (await resolve(overrides)).plan.token;
    expect(plan.token).to.match(/^[0-9a-f]{64}$/);
    expect(await token({ userData: "other", hibernate: false })).to.equal(plan.token);
    expect(await token({ attempt: 1 })).not.to.equal(plan.token);
    expect(await token({ combination: 1 })).not.to.equal(plan.token);
    expect(await token({ types: ["m7a.large"] })).not.to.equal(plan.token);
    expect(await token({ owner: { ...launchRequest().owner, uid: "2" } })).not.to.equal(plan.token);
  });

  it("asks for hibernation only where type and image can", async () => {
    expect((await resolve({ types: ["m7i.large"] })).plan.hibernate).to.equal(true);
    expect((await resolve({ types: ["m7i.large"], hibernate: false })).plan.hibernate).to.equal(false);
    for (const type of ["g5.xlarge", "m7i.48xlarge", "m5.metal"]) {
      expect((await resolve({ types: [type] })).plan.hibernate, type).to.equal(false);
    }
  });

  it("sizes the root volume for system and memory when hibernating, and as asked for otherwise", async () => {
    const rootVolumeOf = async (given: Parameters<typeof resolve>[0]): Promise<VolumeShape> =>
      readDetails((await resolve(given)).plan).rootVolume;
    expect((await rootVolumeOf({ types: ["m7i.2xlarge"] })).sizeGiB).to.equal(4 + 32);
    expect((await rootVolumeOf({ types: ["m7i.2xlarge"], hibernate: false })).sizeGiB).to.equal(10);
    const ec2 = { ...CLASS, rootVolume: { sizeGiB: 100, type: "gp3", iops: 4_000, kmsKeyID: "alias/a" } };
    expect(await rootVolumeOf({ classSpec: { ec2 } })).to.deep.equal(ec2.rootVolume);
  });

  describe("finds the image", () => {
    it("by ID", async () => {
      const ec2 = { ...CLASS, image: { id: AMD64_IMAGE } };
      expect((await resolve({ classSpec: { ec2 } })).plan.image).to.equal(AMD64_IMAGE);
    });

    it("by name, for the satellite's architecture", async () => {
      const arm64 = await resolve({ architecture: "arm64", types: ["m7g.large"] });
      expect(arm64.plan.image).to.equal(ARM64_IMAGE);
    });

    it("by SSM parameter, with the architecture in its name", async () => {
      const ec2 = { ...CLASS, image: { ssmParameter: "/images/{architecture}/current" } };
      const parameters = { "/images/amd64/current": AMD64_IMAGE };
      expect((await resolve({ classSpec: { ec2 } }, { endpoint: { parameters } })).plan.image).to.equal(
        AMD64_IMAGE,
      );
      expect(await refusal({ classSpec: { ec2 } })).to.include({
        code: "ParameterNotFound",
        class: "parameter",
      });
    });
  });

  describe("refuses, for good and saying what to correct,", () => {
    const cases: Readonly<Record<string, [Partial<LaunchRequest>, string, string]>> = {
      "an image that does not exist": [
        { classSpec: { ec2: { ...CLASS, image: { id: "ami-0123" } } } },
        "InvalidAMIID.NotFound",
        "spec.ec2.image",
      ],
      "a name that no image has": [
        { classSpec: { ec2: { ...CLASS, image: { nameFilter: "nothing-*" } } } },
        "ImageNotFound",
        "nothing-*",
      ],
      "an image of another architecture": [
        { classSpec: { ec2: { ...CLASS, image: { id: ARM64_IMAGE } } } },
        "ImageArchitectureMismatch",
        "arm64",
      ],
      "subnets that do not exist": [
        { classSpec: { ec2: { ...CLASS, subnets: { ids: ["subnet-0123"] } } } },
        "InvalidSubnetID.NotFound",
        "spec.ec2.subnets",
      ],
      "tags that no subnet has": [
        { classSpec: { ec2: { ...CLASS, subnets: { tags: { no: "where" } } } } },
        "NetworkNotFound",
        "spec.ec2.subnets",
      ],
      "tags that no security group has": [
        { classSpec: { ec2: { ...CLASS, securityGroups: { tags: { no: "where" } } } } },
        "NetworkNotFound",
        "spec.ec2.securityGroups",
      ],
      "types that the region lacks": [{ types: ["x9z.large"] }, "NoTypeAvailable", "x9z.large"],
      "types of another architecture": [{ types: ["m7g.large"] }, "NoTypeAvailable", "amd64"],
      "another region": [
        { classSpec: { ec2: { ...CLASS, region: "us-east-1" } } },
        "RegionMismatch",
        "us-east-1",
      ],
      "another role": [
        { classSpec: { ec2: { ...CLASS, roleARN: "arn:aws:iam::000000000077:role/other" } } },
        "RoleMismatch",
        "role/other",
      ],
      "user data above 16 KB": [{ userData: "x".repeat(16_385) }, "UserDataTooLarge", "16384"],
      "a tag key that AWS keeps for itself": [
        { classSpec: { ec2: { ...CLASS, tags: { "aws:team": "a" } } } },
        "InvalidTagKey",
        "aws:team",
      ],
      "a tag key that is too long": [
        { classSpec: { ec2: { ...CLASS, tags: { ["k".repeat(129)]: "a" } } } },
        "InvalidTagKey",
        "128 characters",
      ],
      "a class without subnets": [
        { classSpec: { ec2: { ...CLASS, subnets: {} } } },
        "InvalidClassSpec",
        "spec.ec2.subnets",
      ],
    };
    for (const [name, [overrides, code, hint]] of Object.entries(cases)) {
      it(name, async () => {
        const error = await refusal(overrides);
        expect(error).to.include({ code, class: "parameter" });
        expect(error.message).to.include(hint);
      });
    }
  });

  it("takes user data of exactly 16 KB, counted in bytes", async () => {
    await resolve({ userData: "x".repeat(16_384) });
    expect((await refusal({ userData: "ä".repeat(8_193) })).code).to.equal("UserDataTooLarge");
  });

  it("looks up images and networks once in five minutes, however many launch", async () => {
    const account = createAccount();
    const reads = async (): Promise<number> => {
      await account.run(
        Promise.all(Array.from({ length: 20 }, () => account.cloud.resolve(launchRequest()))),
      );
      return account.endpoint.log.calls("DescribeSubnets").length;
    };
    expect(await reads()).to.equal(1);
    await account.clock.advance(299_000);
    expect(await reads()).to.equal(1);
    await account.clock.advance(2_000);
    expect(await reads()).to.equal(2);
  });
});
