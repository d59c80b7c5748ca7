import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DescribeInstancesCommand } from "@aws-sdk/client-ec2";
import { GetParameterCommand } from "@aws-sdk/client-ssm";
import { expect } from "chai";
import { readProxyRule } from "../../../src/base/proxy.ts";
import { createAwsClients, type AwsClientOptions } from "../../../src/machines/ec2/aws-clients.ts";
import { withEnvironment } from "../../support/environment.ts";
import { HttpProxy } from "../../support/http-proxy.ts";

const REGION = "eu-central-1";
const CREDENTIALS = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" };

/** Clients behind a proxy that refuses every tunnel: which it was asked for is all that these tests want to know. */
describe("AWS clients behind an HTTP proxy", () => {
  let proxy: HttpProxy;
  let url: string;

  beforeEach(async () => {
    proxy = new HttpProxy(false);
    url = await proxy.start();
  });
  afterEach(() => proxy.stop());

  async function call(
    options: Partial<AwsClientOptions>,
    environment: Record<string, string> = {},
  ): Promise<void> {
    const clients = createAwsClients({
      region: REGION,
      proxyFor: readProxyRule({ HTTP_PROXY: url, HTTPS_PROXY: url, ...environment }),
      ...options,
    });
    try {
      await clients.read.send(new DescribeInstancesCommand({})).catch(() => {});
      await clients.ssm.send(new GetParameterCommand({ Name: "/a" })).catch(() => {});
    } finally {
      clients.destroy();
    }
  }

  it("reach EC2 and SSM through it", async () => {
    await call({ credentials: CREDENTIALS });
    expect(proxy.tunnels).to.deep.equal([
      `ec2.${REGION}.amazonaws.com:443`,
      `ssm.${REGION}.amazonaws.com:443`,
    ]);
  });

  it("reach STS through it for the credentials of a role", async () => {
    await call({ credentials: CREDENTIALS, roleARN: "arn:aws:iam::123456789012:role/satellites" });
    expect(new Set(proxy.tunnels)).to.deep.equal(new Set([`sts.${REGION}.amazonaws.com:443`]));
  });

  it("reach STS through it for the credentials of a web identity", async () => {
    const directory = mkdtempSync(join(tmpdir(), "web-identity-"));
    const file = join(directory, "token");
    writeFileSync(file, "token");
    const environment = {
      AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/satellites",
      AWS_WEB_IDENTITY_TOKEN_FILE: file,
      AWS_EC2_METADATA_DISABLED: "true",
    };
    await withEnvironment(environment, () => call({}));
    rmSync(directory, { recursive: true });
    expect(new Set(proxy.tunnels)).to.deep.equal(new Set([`sts.${REGION}.amazonaws.com:443`]));
  });

  it("send plain HTTP to it as a whole URL, and nothing for this machine", async () => {
    await call({ credentials: CREDENTIALS, endpoint: "http://ec2.test" });
    expect(new Set(proxy.requests)).to.deep.equal(new Set(["http://ec2.test/"]));
    proxy.requests.length = 0;
    await call({ credentials: CREDENTIALS, endpoint: "http://127.0.0.1:9" });
    expect(proxy.requests).to.deep.equal([]);
  });

  it("pass by it where NO_PROXY says so", async () => {
    await call({ credentials: CREDENTIALS, endpoint: "http://ec2.invalid" }, { NO_PROXY: ".invalid" });
    expect([...proxy.requests, ...proxy.tunnels]).to.deep.equal([]);
  });
});
