import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { awake, power } from "../router/satellites.ts";
import { until } from "../router/support/router-bench.ts";
import { auditedRequests } from "../support/rights.ts";
import { requireTool } from "../tools/catalog.ts";
import { startProcess, type TestProcess } from "../support/process.ts";
import { type RouterPod, SecuredCluster } from "../support/secured-cluster.ts";
import { BuildKitD } from "./buildkitd.ts";
import { BuildGate, Workshop } from "./builds.ts";
import { stopAfterEach } from "../support/stops.ts";

const PLUGIN = join(import.meta.dirname, "../../src/kubectl-satellite.ts");
const DEVELOPER = "developer";
const READ_PODS = { apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] };
const FORWARD = { apiGroups: [""], resources: ["pods/portforward"], verbs: ["get", "create"] };
const TOKENS = { apiGroups: [""], resources: ["serviceaccounts/token"], verbs: ["create"] };
const CONNECT = { apiGroups: ["satellites.dev"], resources: ["satellites/connect"], verbs: ["create"] };

/**
 * What a developer does: docker buildx and buildctl, which know no token, at a BuildKit behind a router with access control
 * and TLS, with kubeconfig and rights of their own.
 */
describe("kubectl satellite proxy before docker buildx and buildctl", function () {
  this.timeout(180_000);
  let cluster: SecuredCluster;
  let daemon: BuildKitD;
  let shop: Workshop;
  let kubeconfig: string;
  let router: RouterPod;
  const stops = stopAfterEach();

  before(async () => {
    daemon = await BuildKitD.start();
    cluster = await SecuredCluster.start();
    await cluster.putSatellite(awake({ status: { endpoint: { host: "127.0.0.1", port: daemon.port } } }));
    router = await cluster.startRouter("router-0", "--token-audience=satellites.example");
    const user = { kind: "User", apiGroup: "rbac.authorization.k8s.io", name: DEVELOPER };
    await cluster.grant("satellites", "forward", [READ_PODS, FORWARD], user);
    await cluster.grant("team-a", "tokens", [TOKENS], user);
    await grantConnect();
    kubeconfig = cluster.server.writeKubeconfig(DEVELOPER, await cluster.server.issueClient(DEVELOPER));
  });
  after(async () => {
    await cluster?.stop();
    await daemon?.stop();
  });
  beforeEach(() => {
    shop = new Workshop();
    stops.push(() => shop.close());
  });
  const grantConnect = (): Promise<void> =>
    cluster.grant("team-a", `connect-${Math.random()}`.replace(".", ""), [CONNECT], {
      kind: "ServiceAccount",
      namespace: "team-a",
      name: "default",
    });

  interface Proxy {
    readonly process: TestProcess;
    /** The line that says what to type next, in words. */
    readonly next: readonly string[];
    readonly url: string;
  }

  async function proxy(...flags: string[]): Promise<Proxy> {
    const log = shop.path(`proxy-${Math.random()}.log`);
    const args = [PLUGIN, "proxy", "ada", "-n", "team-a", "--kubeconfig", kubeconfig, ...flags];
    const started = await startProcess("proxy", process.execPath, args, log);
    stops.push(() => started.stop("SIGTERM"));
    const line = (): string | undefined => /^docker buildx create .*$/m.exec(readFileSync(log, "utf8"))?.[0];
    await until(() => line() !== undefined || !started.isRunning());
    const next = line()?.split(" ") ?? [];
    expect(next, started.logTail()).not.to.deep.equal([]);
    return { process: started, next, url: next.at(-1) ?? "" };
  }

  async function buildx(context: string, result: string): Promise<{ code: number | null; output: string }> {
    return await shop.run("buildx", [
      "build",
      "--builder=ada",
      "--progress=plain",
      "--no-cache",
      `--output=type=local,dest=${result}`,
      context,
    ]).ended;
  }

  /** How often the developer has looked for routers. */
  const searches = (): number =>
    auditedRequests(cluster.server.auditLog, DEVELOPER).filter(({ resource }) => resource === "/pods").length;

  const built = (folder: string): string => readFileSync(shop.path(folder, "result"), "utf8");

  it("docker buildx builds with what the proxy says to type, and nothing else", async () => {
    const { next } = await proxy();
    const created = await shop.run("buildx", next.slice(2)).ended;
    expect(created.code, created.output).to.equal(0);
    const { code, output } = await buildx(
      shop.context("context", ["RUN echo built > /result"]),
      shop.path("out"),
    );
    expect(code, output).to.equal(0);
    expect(built("out")).to.equal("built\n");
    expect(cluster.kubelet.forwarded).to.include("router-0");
  });

  it("carries 64 MiB there and back through a Unix socket, byte for byte", async () => {
    const { url } = await proxy("--socket", shop.path("ada.sock"));
    const large = randomBytes(64 * 1024 * 1024);
    const context = shop.context("context", ["COPY large /large"], { large });
    const { code, output } = await shop.buildctl([`--addr=${url}`], context, shop.path("out")).ended;
    expect(code, output).to.equal(0);
    const digest = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
    expect(digest(readFileSync(shop.path("out", "large")))).to.equal(digest(large));
  });

  it("reaches a router by its address, whose certificate it verifies", async () => {
    const flags = ["--router", `localhost:${router.port}`, "--service-account", "default"];
    const audience = ["--token-audience", "satellites.example"];
    const { url } = await proxy(...flags, ...audience, "--ca", cluster.ca);
    const context = shop.context("context", ["RUN echo built > /result"]);
    const { code, output } = await shop.buildctl([`--addr=${url}`], context, shop.path("out")).ended;
    expect(code, output).to.equal(0);
    const other = await proxy(...flags, ...audience, "--tls");
    const refused = await shop.buildctl([`--addr=${other.url}`], context, shop.path("out-2")).ended;
    expect(refused.code).not.to.equal(0);
    expect(refused.output).to.match(/no TLS with the router .* --ca names its authorities/);
  });

  it("wakes a sleeping satellite and waits for it", async () => {
    const { url } = await proxy();
    await cluster.setSpec("ada", { desiredPower: "off" });
    await cluster.setStatus("ada", { phase: "Asleep", power: power("Off") });
    const build = shop.buildctl(
      [`--addr=${url}`],
      shop.context("context", ["RUN echo built > /result"]),
      shop.path("out"),
    );
    await until(async () => (await cluster.read("ada")).spec.desiredPower === "on");
    await cluster.setStatus("ada", { phase: "Running", power: power("Running", { epoch: 5 }) });
    const { code, output } = await build.ended;
    expect(code, output).to.equal(0);
    expect(built("out")).to.equal("built\n");
  });

  it("survives a rollout of the router: the build under way ends well, and the next goes to the new one", async () => {
    const { url } = await proxy();
    const gate = await new BuildGate().listen();
    stops.push(() => gate.close());
    const long = shop.buildctl([`--addr=${url}`], shop.context("long", [gate.step]), shop.path("long-out"));
    await gate.reached;
    const replacement = await cluster.startRouter("router-1", "--token-audience=satellites.example");
    await cluster.retire(router);
    router = replacement;
    const short = shop.context("short", ["RUN echo built > /result"]);
    const next = await shop.buildctl([`--addr=${url}`], short, shop.path("out")).ended;
    expect(next.code, next.output).to.equal(0);
    expect(cluster.kubelet.forwarded.at(-1)).to.equal("router-1");
    gate.open();
    const { code, output } = await long.ended;
    expect(code, output).to.equal(0);
  });

  it("survives a restart of the API server, which carries its connections, and a moment without any router", async () => {
    const { url } = await proxy();
    const context = shop.context("context", ["RUN echo built > /result"]);
    const first = await shop.buildctl([`--addr=${url}`], context, shop.path("out-1")).ended;
    expect(first.code, first.output).to.equal(0);
    await cluster.server.restart();
    const replacement = await cluster.launchRouter("router-2", "--token-audience=satellites.example");
    await cluster.retire(router);
    await router.process.ended;
    router = replacement;
    const before = searches();
    const second = shop.buildctl([`--addr=${url}`], context, shop.path("out-2"));
    await until(() => searches() > before);
    await cluster.announce(router);
    const { code, output } = await second.ended;
    expect(code, output).to.equal(0);
  });

  it("makes a buildx builder of two satellites, and removes it again", async () => {
    await cluster.putSatellite(
      awake({ name: "bea", uid: "uid-bea", status: { endpoint: { host: "127.0.0.1", port: daemon.port } } }),
    );
    const log = shop.path("buildx.log");
    const environment = {
      PATH: process.env["PATH"],
      HOME: shop.directory,
      BUILDX: requireTool("buildx"),
      BUILDX_CONFIG: shop.path("buildx"),
    };
    const args = ["buildx", "ada", "bea", "--builder=pair", "-n", "team-a", "--kubeconfig", kubeconfig];
    const started = await startProcess("buildx", process.execPath, [PLUGIN, ...args], log, environment);
    stops.push(() => started.stop());
    await until(
      () => started.logTail().includes("docker buildx build --builder pair") || !started.isRunning(),
    );
    const listed = await shop.run("buildx", ["inspect", "pair"]).ended;
    expect(listed.output, started.logTail())
      .to.match(/Name: +ada\n/)
      .and.match(/Name: +bea\n/);
    const context = shop.context("context", ["RUN echo built > /result"]);
    const output = `--output=type=local,dest=${shop.path("out")}`;
    const build = await shop.run("buildx", ["build", "--builder=pair", "--progress=plain", output, context])
      .ended;
    expect(build.code, build.output).to.equal(0);
    started.signal("SIGINT");
    expect(await started.ended).to.equal(0);
    expect((await shop.run("buildx", ["inspect", "pair"]).ended).code).not.to.equal(0);
  });

  it("passes on why it is refused when the right to connect is taken away", async () => {
    const { url } = await proxy();
    await cluster.revokeAll("team-a", "connect-");
    const context = shop.context("context", ["RUN true"]);
    // A right that was looked up just now is believed for half a minute.
    let refused = await shop.buildctl([`--addr=${url}`], context, shop.path("out-0")).ended;
    await until(async () => {
      refused = await shop.buildctl([`--addr=${url}`], context, shop.path("out-1")).ended;
      return refused.code !== 0;
    });
    expect(refused.output).to.contain("may not connect to satellite team-a/ada");
    await grantConnect();
  });

  it("says at once what is missing: the satellite, a right to tokens, a router", async () => {
    const fails = async (...args: string[]): Promise<string> => {
      const log = shop.path(`fail-${Math.random()}.log`);
      const started = await startProcess("proxy", process.execPath, [PLUGIN, ...args], log);
      expect(await started.ended).to.equal(1);
      return started.logTail();
    };
    const as = ["--kubeconfig", kubeconfig];
    const admin = ["--kubeconfig", cluster.server.adminKubeconfig];
    expect(await fails("proxy", "nobody", "-n", "team-a", ...admin)).to.match(
      /no satellite team-a\/nobody.*ls -A/,
    );
    expect(await fails("proxy", "ada", "-n", "team-a", ...as, "--service-account", "nobody")).to.match(
      /no service account team-a\/nobody.*kubectl create serviceaccount nobody/,
    );
    expect(await fails("proxy", "ada", "-n", "satellites", ...as)).to.match(
      /may not make tokens.*kubectl create role/,
    );
    expect(await fails("proxy", "ada", "-n", "team-a", ...as, "--router-namespace", "team-a")).to.match(
      /may not list pods in namespace team-a.*--router HOST:PORT/,
    );
  });
});
