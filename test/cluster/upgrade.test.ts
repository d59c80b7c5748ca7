import { execFile } from "node:child_process";
import { expect } from "chai";
import { existsSync, readFileSync } from "node:fs";
import { BuildKitD } from "../clients/buildkitd.ts";
import { Workshop } from "../clients/builds.ts";
import { Cluster, type CommandOutcome, TEAM } from "./cluster.ts";
import { chartVersion, FIRST_TAG, firstChart, REPOSITORY } from "./images.ts";
import { requireTool } from "../tools/catalog.ts";
import { FIRST_NODE } from "./node/place.ts";

const RELEASE = "sat";
/** How long builds and commands take that are under way when pods are replaced, in seconds. */
const LONG_S = 60;
/** Clients such as buildctl name no satellite. */
const VALUES = {
  router: {
    mode: "deployment",
    access: { mode: "insecureAnonymous" },
    defaultSatellite: `${TEAM}/builder`,
  },
};

/** From chart and image of the oldest commit that has both, to today's. */
describe("an upgrade from the first release", function () {
  this.timeout(600_000);
  this.bail(true);
  let cluster: Cluster;
  let daemon: BuildKitD;
  let shop: Workshop;
  let address: string;

  before(async function () {
    cluster = await Cluster.start();
    if (!existsSync(firstChart(cluster.images))) {
      console.log("      the history of the sources is not here, and so no first release");
      this.skip();
    }
    shop = new Workshop();
    daemon = await BuildKitD.start(FIRST_NODE.address);
  });
  after(async () => {
    await daemon?.stop();
    await shop?.close();
    await cluster?.stop();
  });

  /** A build through the Service that takes so long. */
  function build(name: string, seconds: number): ReturnType<Workshop["run"]> {
    const context = shop.context(name, [`RUN sleep ${seconds}; echo ${name} > /built`]);
    return shop.buildctl([`--addr=tcp://${address}`], context, shop.path(`${name}-out`));
  }

  async function expectBuilt(name: string, { ended }: ReturnType<Workshop["run"]>): Promise<void> {
    const { code, output } = await ended;
    expect(code, output).to.equal(0);
    expect(readFileSync(shop.path(`${name}-out`, "built"), "utf8")).to.equal(`${name}\n`);
  }

  /**
   * A command in "ada" by grpcurl. Clients by grpc-js say GOAWAY when a router does, which the first release passed on to
   * the VM, whose server is by grpc-js too: that ends such a connection when it is to send its next PING, after 30 s.
   */
  function run(script: string): Promise<CommandOutcome & { readonly output: string }> {
    const request = JSON.stringify({ command: "sh", args: ["-c", script] });
    const headers = ["satellite-name: ada", `satellite-namespace: ${TEAM}`].flatMap((each) => ["-H", each]);
    const schema = ["-import-path", "src/guest", "-proto", "execution.proto"];
    const args = [
      "-plaintext",
      ...headers,
      ...schema,
      "-d",
      request,
      address,
      "satellites.exec.v1.Execution/Run",
    ];
    return new Promise((resolve) => {
      execFile(requireTool("grpcurl"), args, (error, stdout, stderr) => {
        resolve({
          code: error === null ? 0 : Number(error.code ?? 1),
          stdout,
          stderr,
          output: stdout + stderr,
        });
      });
    });
  }

  async function imagesOf(component: "operator" | "router"): Promise<Set<string>> {
    const pods = await cluster.untilReady(component, 2);
    return new Set(pods.flatMap(({ spec }) => spec.containers.map(({ image }) => image)));
  }

  it("begins with a release that runs and builds", async () => {
    const image = { repository: REPOSITORY, tag: FIRST_TAG };
    await cluster.apply(RELEASE, { ...VALUES, image }, { chart: firstChart(cluster.images) });
    expect([...(await imagesOf("router"))]).to.deep.equal([`${REPOSITORY}:${FIRST_TAG}`]);
    address = await cluster.serviceAddress("sat-satellites-router");
    // Classes had no status then.
    await cluster.createClass({ saysReady: false });
    for (const name of ["ada", "builder"]) {
      await cluster.createSatellite(name, { desiredPower: "on" });
      await cluster.untilPhase(name, "Running");
    }
    await cluster.serveInsteadOf("builder", daemon.port);
    await cluster.connect(address, "ada").describe(30_000);
    await expectBuilt("short", build("short", 0));
  });

  it("loses no call, no stream and no build, and keeps every machine", async () => {
    const machines = await cluster.machines();
    const command = run(`sleep ${LONG_S}; echo whole`);
    const long = build("long", LONG_S);
    const report = await cluster.underLoad(
      "upgrade from the first release",
      () => cluster.connect(address, "ada"),
      () => cluster.apply(RELEASE, VALUES),
    );
    expect(report.failures).to.deep.equal([]);
    const { code, output } = await command;
    expect(code, output).to.equal(0);
    expect(output).to.include(Buffer.from("whole\n").toString("base64"));
    await expectBuilt("long", long);
    for (const component of ["operator", "router"] as const) {
      expect([...(await imagesOf(component))]).to.deep.equal([`${REPOSITORY}:${chartVersion()}`]);
    }
    expect(await cluster.machines()).to.deep.equal(machines);
  });

  /** Whether the API server knows a field that the first release did not have. */
  async function knowsNewFields(): Promise<boolean> {
    const name = "satelliteclasses.satellites.dev";
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`;
    return JSON.stringify(await cluster.get(path)).includes("the VM serves TLS");
  }

  it("has the new definitions, and wakes what fell asleep", async () => {
    expect(await knowsNewFields()).to.equal(true);
    await cluster.sleep("ada");
    await cluster.connect(address, "ada").describe(60_000);
    await expectBuilt("behind", build("behind", 0));
  });

  for (const { what, act, isNew } of [
    {
      what: "goes back by helm rollback",
      act: async (): Promise<unknown> => {
        const { code, stderr } = await cluster.helm([
          "rollback",
          RELEASE,
          "1",
          "--wait",
          "--timeout",
          "150s",
        ]);
        return expect(code, stderr).to.equal(0);
      },
      isNew: false,
    },
    {
      what: "is upgraded once more",
      act: (): Promise<unknown> => cluster.apply(RELEASE, VALUES),
      isNew: true,
    },
  ]) {
    it(`${what} without losing a call, and with its definitions`, async () => {
      const machines = await cluster.machines();
      const report = await cluster.underLoad(what, () => cluster.connect(address, "ada"), act);
      expect(report.failures).to.deep.equal([]);
      await cluster.untilReady("router", 2);
      expect(await knowsNewFields()).to.equal(isNew);
      await cluster.sleep("ada");
      await cluster.connect(address, "ada").describe(60_000);
      expect(await cluster.machines()).to.deep.equal(machines);
    });
  }

  it("leaves no machine when its satellites are deleted", async () => {
    await cluster.deleteSatellites("ada", "builder");
    expect(await cluster.machines()).to.deep.equal([]);
    await cluster.deleteClasses();
    const { code, stderr } = await cluster.helm(["uninstall", RELEASE, "--wait"]);
    expect(code, stderr).to.equal(0);
  });
});
