import { expect } from "chai";
import { eventually } from "../support/eventually.ts";
import { Cluster, SYSTEM, TEAM } from "./cluster.ts";
import { Prober } from "./prober.ts";
import { PrometheusPod } from "./prometheus.ts";

const RELEASE = "sat";
const MONITORING = "monitoring";
const ELSEWHERE = "elsewhere";
const [GRPC, OPERATOR, ROUTER] = [8372, 8081, 8082];
/** A port that is nobody's business, on which something listens all the same. */
const OTHER = 9999;
const VALUES = { router: { mode: "deployment", access: { mode: "insecureAnonymous" } } };

const inNamespace = (name: string): object => ({
  namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } },
});

type Ways = Readonly<Record<string, string>>;
const NOWHERE: Ways = {
  service: "closed",
  router: "closed",
  "router's metrics": "closed",
  "operator's metrics": "closed",
  other: "closed",
};

/** Who reaches what of the release, on nodes whose agent enforces NetworkPolicy. */
describe("the network of an installation", function () {
  this.timeout(300_000);
  this.bail(true);
  let cluster: Cluster;
  const probers = new Map<string, Prober>();
  let targets: Readonly<Record<string, readonly string[]>>;

  before(async () => {
    cluster = await Cluster.start();
    for (const name of [MONITORING, ELSEWHERE]) {
      await cluster.create("/api/v1/namespaces", { metadata: { name } });
    }
    for (const name of [TEAM, MONITORING, ELSEWHERE]) {
      probers.set(name, await Prober.start(cluster, name));
    }
  });
  after(async () => {
    await cluster?.kubectl("delete", "namespace", MONITORING, ELSEWHERE, "--timeout=60s");
    await cluster?.stop();
  });

  /** Waits until pods of each namespace reach just that. */
  async function expectWays(expected: Readonly<Record<string, Ways>>): Promise<void> {
    let last: unknown;
    await eventually("the agents have taken the policy over", async () => {
      const found: Record<string, Ways> = {};
      for (const [name, prober] of probers) {
        const answers = Object.entries(targets).map(
          async ([what, addresses]) => [what, await prober.reaches(addresses)] as const,
        );
        found[name] = Object.fromEntries(await Promise.all(answers));
      }
      last = found;
      try {
        expect(found).to.deep.equal(expected);
        return true;
      } catch {
        return false; // The agents take a moment.
      }
    }).catch(() => expect(last).to.deep.equal(expected));
  }

  it("has no bounds without a policy: even what listens by mistake is reached", async () => {
    await cluster.apply(RELEASE, { ...VALUES, networkPolicy: { enabled: false } });
    const pods = {
      operator: await cluster.untilReady("operator", 2),
      router: await cluster.untilReady("router", 2),
    };
    for (const [container, all] of Object.entries(pods)) {
      for (const { metadata } of all) {
        const where = ["--namespace", SYSTEM, metadata.name, "--container", container];
        // Ends with the pod.
        void cluster.kubectl("exec", ...where, "--", "node", "--eval", `net.createServer().listen(${OTHER})`);
      }
    }
    const at = (component: keyof typeof pods, port: number | undefined): string[] =>
      pods[component].map(({ status }) => `${status.podIP ?? ""}:${port ?? ""}`);
    targets = {
      service: [await cluster.serviceAddress("sat-satellites-router")],
      router: at("router", GRPC),
      "router's metrics": at("router", ROUTER),
      "operator's metrics": at("operator", OPERATOR),
      other: [...at("router", OTHER), ...at("operator", OTHER)],
    };
    const all = Object.fromEntries(Object.keys(NOWHERE).map((what) => [what, "open"]));
    await expectWays({ [TEAM]: all, [MONITORING]: all, [ELSEWHERE]: all });
  });

  it("by the chart's default policy lets every pod at the router and at metrics, and at nothing else", async () => {
    await cluster.apply(RELEASE, VALUES);
    const all = {
      ...Object.fromEntries(Object.keys(NOWHERE).map((what) => [what, "open"])),
      other: "closed",
    };
    await expectWays({ [TEAM]: all, [MONITORING]: all, [ELSEWHERE]: all });
  });

  it("lets named clients at the router, named scrapers at metrics, and others at nothing", async () => {
    const networkPolicy = { clients: [inNamespace(TEAM)], scrapers: [inNamespace(MONITORING)] };
    await cluster.apply(RELEASE, { ...VALUES, networkPolicy });
    await expectWays({
      [TEAM]: { ...NOWHERE, service: "open", router: "open" },
      [MONITORING]: { ...NOWHERE, "router's metrics": "open", "operator's metrics": "open" },
      [ELSEWHERE]: NOWHERE,
    });
    // The kubelet's probes come from the node.
    await cluster.untilReady("operator", 2);
    await cluster.untilReady("router", 2);
  });

  it("is scraped under that policy by a Prometheus that finds every pod as the ServiceMonitor says", async () => {
    const prometheus = await PrometheusPod.start(cluster, MONITORING);
    const pods = [...(await cluster.pods("operator")), ...(await cluster.pods("router"))];
    await eventually("every pod is scraped", async () => {
      const up = await prometheus.query("up == 1");
      return up.length === pods.length;
    });
    const up = await prometheus.query("up");
    expect(up.map(({ metric }) => metric["pod"])).to.have.members(pods.map(({ metadata }) => metadata.name));
    expect(up.map(({ metric }) => metric["program"])).to.have.members([
      "operator",
      "operator",
      "router",
      "router",
    ]);
    await cluster.createClass();
    await cluster.createSatellite("ada");
    const { stdout } = await cluster.kubectl(
      "exec",
      "--namespace",
      TEAM,
      "prober",
      "--",
      "node",
      "/app/satellites.mjs",
      "run",
      "ada",
      `--router=sat-satellites-router.${SYSTEM}.svc:8372`,
      `--namespace=${TEAM}`,
      "--",
      "echo",
      "woken",
    );
    expect(stdout).to.equal("woken\n");
    const actions = "satellites_operator_actions_total";
    await eventually(
      "Prometheus knows of the launch, from the operator that leads and the routers",
      async () => {
        const requests = await prometheus.query('sum(satellites_router_requests_total{program="router"})');
        const acting = await prometheus.query(`count by (pod) (${actions}{program="operator"} > 0)`);
        const running = await prometheus.query('max(satellites_phase{program="operator",phase="Running"})');
        return (
          Number(requests[0]?.value[1]) > 0 &&
          acting.map(({ metric }) => metric["pod"]).join() === (await cluster.leader()) &&
          Number(running[0]?.value[1]) === 1
        );
      },
    );
  });

  it("leaves no machine when its satellites are deleted", async () => {
    await cluster.deleteSatellites("ada");
    expect(await cluster.machines()).to.deep.equal([]);
    await cluster.deleteClasses();
    const { code, stderr } = await cluster.helm(["uninstall", RELEASE, "--wait"]);
    expect(code, stderr).to.equal(0);
  });
});
