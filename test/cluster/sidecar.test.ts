import { expect } from "chai";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../support/eventually.ts";
import { CHART } from "../support/helm.ts";
import { Cluster, SYSTEM } from "./cluster.ts";
import { REPOSITORY } from "./images.ts";
import { Load, printLoad } from "./load.ts";
import { isReady, restartsOf } from "./pod.ts";

const RELEASE = "sat";
/** How long the API server is away: longer than a lead lasts. */
const AWAY_MS = 20_000;
const ROUTER_PORT = 8372;
const LEASE = `/apis/coordination.k8s.io/v1/namespaces/${SYSTEM}/leases/satellites-operator`;

/**
 * The life of an installation, from the chart's default values on a new cluster to the last machine: each step goes on
 * where the one before it ended.
 */
describe("an installation in sidecar mode", function () {
  this.timeout(300_000);
  this.bail(true);
  let cluster: Cluster;

  before(async () => {
    cluster = await Cluster.start();
  });
  after(() => cluster?.stop());

  /** What a Node.js program says that runs in a container, beside the one that is there. */
  async function inContainer(pod: string, container: string, script: string): Promise<string> {
    const where = ["--namespace", SYSTEM, pod, "--container", container];
    const { stdout, stderr } = await cluster.kubectl("exec", ...where, "--", "node", "--eval", script);
    return stdout + stderr;
  }

  it("is installed by helm, which waits until its pods are ready: restricted, and within a ResourceQuota", async () => {
    expect(await cluster.apply(RELEASE)).to.include("STATUS: deployed");
    const pods = await cluster.untilReady("operator", 2);
    for (const { status } of pods) {
      expect(status.containerStatuses?.map(({ name }) => name)).to.have.members(["operator", "router"]);
    }
  });

  it("passes helm test: its pods answer by DNS and through a Service", async () => {
    const { code, stdout, stderr } = await cluster.helm(["test", RELEASE, "--logs"]);
    expect(code, stdout + stderr).to.equal(0);
  });

  for (const container of ["operator", "router"]) {
    it(`runs the ${container} without root, capabilities, new privileges or all system calls, on files that it cannot change`, async () => {
      const [pod] = await cluster.pods("operator");
      const name = pod?.metadata.name ?? "";
      const show = "console.log(fs.readFileSync('/proc/1/status', 'utf8'))";
      const status = await inContainer(name, container, show);
      expect(status).to.match(/^Uid:\s+65532\s+65532/m);
      expect(status).to.match(/^CapEff:\s+0+$/m);
      expect(status).to.match(/^CapBnd:\s+0+$/m);
      expect(status).to.match(/^NoNewPrivs:\s+1$/m);
      // 2 is a filter of system calls (proc(5)).
      expect(status).to.match(/^Seccomp:\s+2$/m);
      expect(await inContainer(name, container, "fs.writeFileSync('/app/x', '')")).to.include("EROFS");
      expect(await inContainer(name, container, "fs.writeFileSync('/tmp', '')")).to.include("EROFS");
    });
  }

  it("resolves the class, and launches a satellite that is asked for through kubectl port-forward", async () => {
    await cluster.createClass();
    await cluster.createSatellite("ada");
    const address = await cluster.portForward("sat-satellites", ROUTER_PORT);
    const { stdout } = await cluster.connect(address, "ada").run("echo", { args: ["from the VM"] });
    expect(stdout.toString()).to.equal("from the VM\n");
    await cluster.untilPhase("ada", "Running");
  });

  it("wakes it again for the next call after it fell asleep", async () => {
    await cluster.sleep("ada");
    const address = await cluster.portForward("sat-satellites", ROUTER_PORT);
    const { stdout } = await cluster.connect(address, "ada").run("echo", { args: ["again"] });
    expect(stdout.toString()).to.equal("again\n");
  });

  it("has another leader when the leader is killed, and the kubelet starts it again", async () => {
    const name = (await cluster.leader()) ?? "";
    const pod = (await cluster.pods("operator")).find(({ metadata }) => metadata.name === name);
    expect(pod, `the leader is ${name}`).to.not.equal(undefined);
    if (pod !== undefined) {
      cluster.kill(pod, "operator");
    }
    await eventually("the killed one is ready again", async () => {
      const found = (await cluster.pods("operator")).find(({ metadata }) => metadata.name === name);
      const container = found?.status.containerStatuses?.find((each) => each.name === "operator");
      return found !== undefined && isReady(found) && container?.restartCount === 1;
    });
    await cluster.createSatellite("born-after-the-kill");
    await cluster.untilPhase("born-after-the-kill", "Running");
  });

  it("serves who is awake while the API server is away, and an operator that starts then waits for it", async () => {
    // A Service that everybody may use: neither a forwarded port nor a question about callers needs the API server.
    await cluster.apply(RELEASE, { router: { access: { mode: "insecureAnonymous" } } });
    const before = await cluster.untilReady("operator", 2);
    const address = await cluster.serviceAddress("sat-satellites-router");
    await cluster.untilServed(address);
    const guest = cluster.connect(address, "ada");
    const load = new Load([guest]);
    const stream = guest.run("sh", { args: ["-c", `sleep ${AWAY_MS / 1000}; echo whole`] });
    await eventually("calls are answered", async () => load.calls > 10);
    await cluster.server.process.stop();
    for (const pod of before) {
      cluster.kill(pod, "operator");
    }
    await delay(AWAY_MS);
    await cluster.server.restart();
    // What the API server shows of the pods is from before, until the kubelet has told it.
    await eventually("both were started again", async () => {
      const pods = await cluster.untilReady("operator", 2);
      return restartsOf(pods) >= restartsOf(before) + 2;
    });
    const after = await cluster.untilReady("operator", 2);
    const report = await load.stop();
    printLoad(`API server away for ${AWAY_MS / 1000} s`, report);
    expect(report.failures).to.deep.equal([]);
    expect((await stream).stdout.toString()).to.equal("whole\n");
    // Each was killed once, and did not end once more for want of an API server.
    expect(restartsOf(after) - restartsOf(before)).to.equal(2);
    await cluster.sleep("ada");
    await guest.describe(60_000);
  });

  it("is uninstalled with satellites there: they, their machines and the definitions stay, and nothing else", async () => {
    const { code, stderr } = await cluster.helm(["uninstall", RELEASE, "--wait"]);
    expect(code, stderr).to.equal(0);
    await eventually("the pods are gone", async () => {
      const { items } = await cluster.get<{ items: unknown[] }>(`/api/v1/namespaces/${SYSTEM}/pods`);
      return items.length === 0;
    });
    expect(await cluster.machines()).to.have.length(2);
    expect((await cluster.satellite("ada")).status.phase).to.equal("Running");
    await eventually("the Lease is gone with its Deployment", async () => {
      const { status } = await cluster.admin.request("GET", LEASE);
      return status === 404;
    });
  });

  it("is installed again under another name, and takes up where the other ended", async () => {
    const values = { image: { repository: REPOSITORY } };
    const { code, stderr } = await cluster.helm(["install", "other", CHART], values);
    expect(code).to.not.equal(0);
    expect(stderr).to.include("invalid ownership metadata");
    await cluster.apply("other", {}, { flags: ["--take-ownership"] });
    await cluster.untilReady("operator", 2);
    await cluster.sleep("ada");
    const address = await cluster.portForward("other-satellites", ROUTER_PORT);
    await cluster.connect(address, "ada").describe(60_000);
  });

  it("leaves no machine when its satellites are deleted, and nothing when all of it is", async () => {
    await cluster.deleteSatellites("ada", "born-after-the-kill");
    expect(await cluster.machines()).to.deep.equal([]);
    // As the chart's README says: classes that were in use wait for an operator, too.
    await cluster.deleteClasses();
    const { code, stderr } = await cluster.helm(["uninstall", "other", "--wait"]);
    expect(code, stderr).to.equal(0);
    const crds = ["satellites.satellites.dev", "satelliteclasses.satellites.dev"];
    const deleted = await cluster.kubectl("delete", "crd", "--timeout=60s", ...crds);
    expect(deleted.code, deleted.stderr).to.equal(0);
  });
});
