import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import { systemClock } from "../../../src/base/clock.ts";
import { createEc2Cloud, type Ec2Cloud } from "../../../src/machines/ec2/ec2-cloud.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { CLUSTER, REGION } from "./ec2-account.ts";
import { startGuardedAccount, type GuardedAccount } from "./guarded-account.ts";
import { withEnvironment } from "../../support/environment.ts";

const ROLE = "arn:aws:iam::123456789012:role/satellites";
/** The SDK reads both in every process; here it must find nothing but what a test gives. */
const NOTHING = {
  AWS_EC2_METADATA_DISABLED: "true",
  AWS_CONFIG_FILE: "/dev/null",
  AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
};

/** Credentials are remembered until they expire; AWS may refuse them before that: revoked, rotated, or a clock that is off. */
describe("credentials that AWS refuses before they expire", () => {
  let account: GuardedAccount;
  let directory: string;
  const clouds: Ec2Cloud[] = [];

  const createCloud = (roleARN?: string): Ec2Cloud => {
    const cloud = createEc2Cloud({
      region: REGION,
      cluster: CLUSTER,
      clock: systemClock,
      random: Math.random,
      logger: silentLogger,
      registry: new Registry(),
      endpoint: account.url,
      ...(roleARN === undefined ? {} : { roleARN }),
    });
    clouds.push(cloud);
    return cloud;
  };

  beforeEach(async () => {
    account = await startGuardedAccount();
    directory = await mkdtemp(join(tmpdir(), "credentials-"));
  });
  afterEach(async () => {
    for (const cloud of clouds.splice(0)) {
      cloud.close();
    }
    await account.close();
    await rm(directory, { recursive: true });
  });

  const webIdentity = (token: string): Record<string, string> => ({
    ...NOTHING,
    AWS_ROLE_ARN: ROLE,
    AWS_WEB_IDENTITY_TOKEN_FILE: token,
    AWS_ENDPOINT_URL_STS: account.url,
  });

  it("are fetched anew at once with the token file as it is then, and by one request for all clients", async () => {
    const token = join(directory, "token");
    await writeFile(token, "token-1");
    account.webIdentityToken = "token-1";
    await withEnvironment(webIdentity(token), async () => {
      const cloud = createCloud();
      expect(await cloud.list()).to.deep.equal([]);
      expect(await cloud.listVolumes()).to.deep.equal([]);
      expect(account.stsCalls).to.deep.equal(["AssumeRoleWithWebIdentity token-1"]);

      account.revoke();
      account.webIdentityToken = "token-2";
      await writeFile(token, "token-2");
      expect(await cloud.list()).to.deep.equal([]);
      await cloud.tag("i-0123456789abcdef0", {}).catch(() => {});
    });
    expect(account.stsCalls).to.deep.equal([
      "AssumeRoleWithWebIdentity token-1",
      "AssumeRoleWithWebIdentity token-2",
    ]);
    expect(account.refusals).to.equal(1);
  });

  it("are fetched anew with what they were fetched with, where they are those of a role", async () => {
    const token = join(directory, "token");
    await writeFile(token, "token-1");
    account.webIdentityToken = "token-1";
    await withEnvironment(webIdentity(token), async () => {
      const cloud = createCloud("arn:aws:iam::210987654321:role/other-account");
      expect(await cloud.list()).to.deep.equal([]);
      // Both the role's credentials and those that may assume it.
      account.revoke();
      expect(await cloud.list()).to.deep.equal([]);
    });
    expect(account.stsCalls).to.deep.equal([
      "AssumeRoleWithWebIdentity token-1",
      "AssumeRole key-1",
      "AssumeRoleWithWebIdentity token-1",
      "AssumeRole key-3",
    ]);
  });

  it("are read again from the shared file, which somebody else may rewrite", async () => {
    const file = join(directory, "credentials");
    const write = async (key: string): Promise<void> =>
      await writeFile(file, `[default]\naws_access_key_id = ${key}\naws_secret_access_key = secret\n`);
    await write(account.issue());
    await withEnvironment({ ...NOTHING, AWS_SHARED_CREDENTIALS_FILE: file }, async () => {
      const cloud = createCloud();
      expect(await cloud.list()).to.deep.equal([]);
      account.revoke();
      await write(account.issue());
      expect(await cloud.list()).to.deep.equal([]);
    });
    expect(account.refusals).to.equal(1);
  });

  it("are asked of the container's agent again", async () => {
    await withEnvironment(
      { ...NOTHING, AWS_CONTAINER_CREDENTIALS_FULL_URI: `${account.url}/container` },
      async () => {
        const cloud = createCloud();
        expect(await cloud.list()).to.deep.equal([]);
        account.revoke();
        expect(await cloud.list()).to.deep.equal([]);
      },
    );
    expect(account.refusals).to.equal(1);
  });

  it("are not asked for without end where the others are refused, too", async () => {
    const token = join(directory, "token");
    await writeFile(token, "token-1");
    account.webIdentityToken = "token-1";
    account.refusesAll = true;
    await withEnvironment(webIdentity(token), async () => {
      const failure = await createCloud()
        .list()
        .then(
          () => undefined,
          (error: unknown) => error,
        );
      expect(failure).to.include({ code: "AuthFailure", reason: "CredentialsInvalid" });
    });
    expect(account.stsCalls).to.have.length(2);
    expect(account.refusals).to.equal(2);
  });
});
