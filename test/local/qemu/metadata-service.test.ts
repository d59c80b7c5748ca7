import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { expect } from "chai";

import { createMetadataListener, type InstanceFacts } from "../../../src/local/qemu/metadata-service.ts";

const FACTS: InstanceFacts = {
  instanceId: "i-0123",
  imageId: "ami-1",
  privateAddress: "127.77.0.1",
  instanceType: "t3.small",
  zone: "us-east-1a",
  region: "us-east-1",
  hostname: "ip-127-77-0-1",
  tags: { Name: "web", "satellites.dev/uid": "u" },
  userData: "#cloud-config\n",
  architecture: "x86_64",
  pendingTime: "2026-01-01T00:00:00Z",
};
const TTL = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN = "x-aws-ec2-metadata-token";

describe("the instance metadata service", () => {
  let server: Server;
  let base: string;
  let nowMs: number;
  let facts: InstanceFacts;

  beforeEach(async () => {
    nowMs = 1_700_000_000_000;
    facts = FACTS;
    server = createServer((request, response) =>
      createMetadataListener(facts, Buffer.alloc(32, 1), () => new Date(nowMs))(request, response),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const token = async (ttl = "60"): Promise<string> =>
    (await fetch(`${base}/latest/api/token`, { method: "PUT", headers: { [TTL]: ttl } })).text();
  const get = async (path: string, value?: string): Promise<Response> =>
    fetch(base + path, { headers: { [TOKEN]: value ?? (await token()) } });
  const textOf = async (path: string): Promise<string> => (await get(path)).text();

  it("tells nothing without a token, with a forged one, or with an expired one", async () => {
    const good = await token("60");
    expect((await fetch(`${base}/latest/user-data`)).status).to.equal(401);
    expect((await get("/latest/user-data", `${good}x`)).status).to.equal(401);
    expect((await get("/latest/user-data", `9${good}`)).status).to.equal(401);
    expect((await get("/latest/user-data", good)).status).to.equal(200);
    nowMs += 60_000;
    expect((await get("/latest/user-data", good)).status).to.equal(401);
  });

  it("gives tokens for one second to six hours, and none to a proxy", async () => {
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(`${base}/latest/api/token`, { method: "PUT", headers })).status;
    expect(await status({ [TTL]: "21600" })).to.equal(200);
    expect(await status({ [TTL]: "21601" })).to.equal(400);
    expect(await status({ [TTL]: "0" })).to.equal(400);
    expect(await status({})).to.equal(400);
    expect(await status({ [TTL]: "60", "x-forwarded-for": "10.0.0.1" })).to.equal(403);
  });

  it("tells the facts and lists folders", async () => {
    expect(await textOf("/latest/meta-data/instance-id")).to.equal("i-0123");
    expect(await textOf("/latest/meta-data/placement/availability-zone")).to.equal("us-east-1a");
    expect(await textOf("/latest/meta-data/tags/instance/Name")).to.equal("web");
    expect(await textOf("/latest/meta-data/placement/")).to.equal("availability-zone\nregion");
    expect((await textOf("/latest/meta-data/")).split("\n")).to.include.members([
      "instance-id",
      "placement/",
      "tags/",
    ]);
    expect(await textOf("/2021-03-23/meta-data/instance-id")).to.equal("i-0123");
    expect(JSON.parse(await textOf("/latest/dynamic/instance-identity/document"))).to.include({
      instanceId: "i-0123",
      privateIp: "127.77.0.1",
      region: "us-east-1",
    });
    expect(await textOf("/latest/user-data")).to.equal("#cloud-config\n");
  });

  it("answers 404 for what is not there, also for absent user data", async () => {
    expect((await get("/latest/meta-data/none")).status).to.equal(404);
    facts = { ...FACTS, userData: "" };
    expect((await get("/latest/user-data")).status).to.equal(404);
  });
});
