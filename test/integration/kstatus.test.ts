import { execFileSync } from "node:child_process";
import { expect } from "chai";
import type { Failure } from "../../src/operator/memory/failures.ts";
import { renderStatus } from "../../src/operator/render-status.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { satelliteClass } from "../operator/fixtures.ts";
import { observation, type Seen } from "../operator/observation.ts";
import { installCrds } from "../support/crds.ts";
import { type KubeApiServer, startKubeApiServer } from "../support/kube-apiserver.ts";
import { requireTool } from "../tools/catalog.ts";

const GROUP = "/apis/satellites.dev/v1alpha1";
const SATELLITES = `${GROUP}/namespaces/default/satellites`;
const EC2 = {
  region: "eu-west-1",
  image: { id: "ami-1" },
  subnets: { ids: ["subnet-1"] },
  securityGroups: { ids: ["sg-1"] },
};
const FAILURE: Failure = {
  action: "Start",
  class: "permission",
  reason: "NotPermitted",
  message: "correct the policy",
  attempt: undefined,
  outcomeUnknown: false,
  count: 1,
  terminal: true,
  retryAtMs: 0,
  machineType: undefined,
  atMs: 0,
  inputs: "",
};

/** What kstatus (Flux, kpt and others) takes an object of a real API server for. */
describe("kstatus", function () {
  this.timeout(150_000);
  let server: KubeApiServer;
  let count = 0;
  let path: string;

  before(async () => {
    server = await startKubeApiServer();
    await installCrds(server.admin);
  });
  after(async () => server?.stop());
  beforeEach(async () => {
    count += 1;
    path = `${SATELLITES}/kstatus-${count}`;
    const answer = await server.admin.request("POST", SATELLITES, {
      apiVersion: "satellites.dev/v1alpha1",
      kind: "Satellite",
      metadata: { name: `kstatus-${count}` },
      spec: { desiredPower: "on" },
    });
    expect(answer.status, JSON.stringify(answer.body)).to.equal(201);
  });

  const read = async (at = path): Promise<unknown> => (await server.admin.request("GET", at)).body;

  async function judged(at = path): Promise<string> {
    const input = JSON.stringify(await read(at));
    const output = execFileSync(requireTool("kstatus"), { input, encoding: "utf8" });
    return (JSON.parse(output) as { status: string }).status;
  }

  /** Writes what the operator would, in this state of the machine's power. */
  async function observe(
    state: Satellite["status"]["power"]["state"],
    memory: Seen["memory"] = {},
  ): Promise<void> {
    const satellite = (await read()) as Satellite;
    const power = { state, epoch: 1, accepted: true, fence: 0 };
    const observed = observation({
      satellite: { ...satellite, status: { ...satellite.status, power } },
      memory,
    });
    const answer = await server.admin.mergePatch(`${path}/status`, { status: renderStatus(observed) });
    expect(answer.status, JSON.stringify(answer.body)).to.equal(200);
  }

  it("does not take a new object for Current, before the operator has seen it", async () => {
    expect(await judged()).to.equal("InProgress");
    const { metadata, status: _status, ...rest } = satelliteClass();
    const made = await server.admin.request("POST", `${GROUP}/satelliteclasses`, {
      ...rest,
      spec: { ...rest.spec, ec2: EC2 },
      apiVersion: "satellites.dev/v1alpha1",
      kind: "SatelliteClass",
      metadata: { name: metadata.name },
    });
    expect(made.status, JSON.stringify(made.body)).to.equal(201);
    expect(await judged(`${GROUP}/satelliteclasses/${metadata.name}`)).to.equal("InProgress");
  });

  it("waits on the way, and no longer than that", async () => {
    await observe("Starting");
    expect(await judged()).to.equal("InProgress");
    await observe("Running");
    expect(await judged()).to.equal("Current");
  });

  it("takes a sleeper that is meant to sleep for Current", async () => {
    await server.admin.mergePatch(path, { spec: { desiredPower: "off" } });
    await observe("Off");
    expect(await judged()).to.equal("Current");
  });

  it("takes one that only a person can help for Failed, until it goes on", async () => {
    await observe("Starting", { failures: { last: FAILURE } });
    expect(await judged()).to.equal("Failed");
    await observe("Starting");
    expect(await judged()).to.equal("InProgress");
    await observe("Running");
    expect(await judged()).to.equal("Current");
  });

  it("waits for the operator to see a change", async () => {
    await observe("Running");
    await server.admin.mergePatch(path, { spec: { idleTimeout: "7m" } });
    expect(await judged()).to.equal("InProgress");
    await observe("Running");
    expect(await judged()).to.equal("Current");
  });
});
