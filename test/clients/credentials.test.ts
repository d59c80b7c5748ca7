import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { newAuthority, type Certificate } from "../router/access/certificates.ts";
import { issue } from "../router/access/cert-manager.ts";
import { awake } from "../router/satellites.ts";
import { until } from "../router/support/router-bench.ts";
import { TestIssuer } from "../support/oidc-issuer.ts";
import { startProcess } from "../support/process.ts";
import { type RouterPod, SecuredCluster } from "../support/secured-cluster.ts";
import { callByTls } from "../support/tls-call.ts";
import { requireTool } from "../tools/catalog.ts";
import { BuildKitD } from "./buildkitd.ts";
import { BuildGate, type RunningClient, Workshop } from "./builds.ts";
import { proxyAddress } from "./proxy-address.ts";
import { stopAfterEach } from "../support/stops.ts";

const PLUGIN = join(import.meta.dirname, "../../src/kubectl-satellite.ts");
const CONNECT = { apiGroups: ["satellites.dev"], resources: ["satellites/connect"], verbs: ["create"] };
const DOMAIN = "sat.example";
const NAME_IN_ONE_LABEL = `ada--team-a.${DOMAIN}`;
const REPOSITORY = "github:acme/app";
const BUILDERS = "team-a-builders";

/** Builds with what a CI job has, and with what cert-manager gives: no secret is stored, and RBAC decides. */
describe("docker buildx and buildctl with credentials that are no Kubernetes token", function () {
  this.timeout(180_000);
  let cluster: SecuredCluster;
  let daemon: BuildKitD;
  let issuer: TestIssuer;
  let clients: Certificate;
  let router: RouterPod;
  let shop: Workshop;
  const stops = stopAfterEach();

  before(async () => {
    daemon = await BuildKitD.start();
    cluster = await SecuredCluster.start([`*.${DOMAIN}`]);
    await cluster.putSatellite(awake({ status: { endpoint: { host: "127.0.0.1", port: daemon.port } } }));
    issuer = await TestIssuer.create();
    clients = await newAuthority("clients", { keyType: "rsa" });
    const issuerCa = cluster.write("issuer.crt", await issuer.listen());
    router = await cluster.startRouter(
      "router-0",
      `--domain=${DOMAIN}`,
      `--client-ca=${cluster.write("clients.crt", clients.cert)}`,
      `--oidc-issuer=${issuer.url}`,
      `--oidc-ca-file=${issuerCa}`,
      "--oidc-username-prefix=github:",
      "--oidc-groups-claim=repository",
      "--oidc-groups-prefix=github:",
    );
    await allow(REPOSITORY);
    await allow(BUILDERS);
  });
  after(async () => {
    await issuer?.close();
    await cluster?.stop();
    await daemon?.stop();
  });
  beforeEach(() => {
    shop = new Workshop();
    stops.push(() => shop.close());
  });
  const bindings = (group: string): string => `connect-${group.replaceAll(/[:/]/g, "-")}`;
  const allow = (group: string): Promise<void> =>
    cluster.grant("team-a", `${bindings(group)}-${Math.random()}`.replace("0.", ""), [CONNECT], {
      kind: "Group",
      apiGroup: "rbac.authorization.k8s.io",
      name: group,
    });
  const forbid = (group: string): Promise<void> => cluster.revokeAll("team-a", bindings(group));

  /** The plug-in, without kubeconfig unless `environment` names one, as in a job. */
  async function plugin(
    args: readonly string[],
    environment: NodeJS.ProcessEnv,
  ): ReturnType<typeof startProcess> {
    const log = shop.path(`plugin-${Math.random()}.log`);
    const own = { PATH: process.env["PATH"], HOME: shop.directory, ...environment };
    const started = await startProcess("plugin", process.execPath, [PLUGIN, ...args], log, own);
    stops.push(() => started.stop("SIGTERM"));
    return started;
  }

  /** @returns URL of the local port */
  async function proxy(source: string, environment: NodeJS.ProcessEnv = {}): Promise<string> {
    const way = ["--router", `localhost:${router.port}`, "--ca", cluster.ca];
    const started = await plugin(
      ["proxy", "ada", "-n", "team-a", ...way, "--token-from", source],
      environment,
    );
    return proxyAddress(started);
  }

  const build = (url: string, step = "RUN echo built > /result"): RunningClient => {
    const name = `context-${Math.random()}`;
    return shop.buildctl([`--addr=${url}`], shop.context(name, [step]), shop.path(`out-${name}`));
  };

  const buildx = (builder: string): RunningClient["ended"] =>
    shop.run("buildx", [
      "build",
      `--builder=${builder}`,
      "--progress=plain",
      `--output=type=local,dest=${shop.path("out")}`,
      shop.context("context", ["RUN echo built > /result"]),
    ]).ended;

  describe("a job of GitHub Actions", () => {
    let github: Server;
    let job: NodeJS.ProcessEnv;
    let asked = 0;
    let branch = "main";

    beforeEach(async () => {
      const answer = async (
        { url = "", headers }: IncomingMessage,
        response: ServerResponse,
      ): Promise<void> => {
        asked += 1;
        const aud = new URL(url, "http://github").searchParams.get("audience");
        const isJob = headers.authorization === "Bearer of the job";
        const value = await issuer.token({ aud, repository: "acme/app", sub: `repo:acme/app:${branch}` });
        response.writeHead(isJob ? 200 : 401).end(JSON.stringify({ value }));
      };
      github = createServer((request, response) => {
        void answer(request, response);
      });
      await new Promise<void>((resolve) => github.listen(0, "127.0.0.1", resolve));
      stops.push(() => github.close());
      job = {
        ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${(github.address() as AddressInfo).port}/?api-version=2`,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN: "of the job",
      };
    });

    it("builds with docker buildx through a proxy, with neither kubeconfig nor secret, until RBAC forbids it", async () => {
      const attempt = async (builder: string): RunningClient["ended"] => {
        const url = await proxy("github", job);
        const created = await shop.run("buildx", ["create", `--name=${builder}`, "--driver=remote", url])
          .ended;
        expect(created.code, created.output).to.equal(0);
        return await buildx(builder);
      };
      const { code, output } = await attempt("first");
      expect(code, output).to.equal(0);
      expect(readFileSync(shop.path("out", "result"), "utf8")).to.equal("built\n");
      expect(asked).to.equal(1);
      await forbid(REPOSITORY);
      // Of another branch, since rights that were looked up just now are believed for half a minute.
      branch = "other";
      expect((await attempt("second")).output).to.contain(
        'user "github:repo:acme/app:other" may not connect to satellite team-a/ada',
      );
      await allow(REPOSITORY);
    });
  });

  it("a token that ends in mid-build harms nothing: the build goes on, and the next call shows a new one", async () => {
    const now = Date.now();
    // A router takes a token for half a minute after its end, since clocks differ; so this one is refused 20 s from now.
    const claims = (name: string, endsInSeconds: number): Record<string, unknown> => ({
      repository: "acme/app",
      sub: `repo:acme/app:ref:${name}`,
      exp: Math.floor(now / 1000) + endsInSeconds,
    });
    const first = await issuer.token({ ...claims("first", -10), iat: Math.floor(now / 1000) - 300, nbf: 0 });
    const file = shop.path("credential");
    const offer = (token: string, lifeMs: number): void => {
      const expirationTimestamp = new Date(now + lifeMs).toISOString();
      writeFileSync(`${file}.new`, JSON.stringify({ status: { token, expirationTimestamp } }));
      renameSync(`${file}.new`, file);
    };
    offer(first, 25_000);
    const url = await proxy(`exec:cat ${file}`);
    const gate = await new BuildGate().listen();
    stops.push(() => gate.close());
    const long = build(url, gate.step);
    await gate.reached;
    offer(await issuer.token(claims("second", 300)), 300_000);
    const ask = async (): Promise<string> => {
      const fields = [["authorization", `Bearer ${first}`]] as const;
      return (await callByTls({ port: router.port, ca: readFileSync(cluster.ca, "utf8"), fields })).brief;
    };
    let answer = "";
    await until(async () => (answer = await ask()) !== "0" && !answer.startsWith("12"));
    expect(answer).to.equal("16 InvalidCredential");
    const next = await build(url).ended;
    expect(next.code, next.output).to.equal(0);
    gate.open();
    const { code, output } = await long.ended;
    expect(code, output).to.equal(0);
  });

  describe("a certificate of cert-manager, which kubectl satellite buildx writes for buildx", () => {
    const SECRET = "/api/v1/namespaces/team-a/secrets/ada-buildx";
    const environment = (): NodeJS.ProcessEnv => ({
      BUILDX: requireTool("buildx"),
      BUILDX_CONFIG: shop.path("buildx"),
      KUBECONFIG: cluster.server.adminKubeconfig,
    });

    /** Writes the Secret as cert-manager does when it has issued or renewed. */
    async function renew(commonName = "ada-builder"): Promise<void> {
      const issued = await issue({ commonName, organizations: [BUILDERS] }, clients);
      const base64 = (text: string): string => Buffer.from(text).toString("base64");
      await cluster.server.admin.request("DELETE", SECRET);
      await cluster.post("/api/v1/namespaces/team-a/secrets", {
        metadata: { name: "ada-buildx" },
        type: "kubernetes.io/tls",
        data: {
          "tls.crt": base64(issued.cert),
          "tls.key": base64(issued.key),
          "ca.crt": base64(clients.cert),
        },
      });
    }

    async function make(...more: string[]): Promise<string> {
      const way = [
        "--router",
        `127.0.0.1:${router.port}`,
        "--server-name",
        NAME_IN_ONE_LABEL,
        "--ca",
        cluster.ca,
      ];
      const started = await plugin(
        ["buildx", "ada", "-n", "team-a", "--cert-secret", "ada-buildx", ...way, ...more],
        environment(),
      );
      expect(await started.ended, started.logTail()).to.equal(0);
      return started.logTail(20);
    }

    it("builds without a proxy, takes a renewed one, is refused when RBAC forbids it, and is removed", async () => {
      await renew();
      expect(await make()).to.contain("docker buildx build --builder ada .");
      const { code, output } = await buildx("ada");
      expect(code, output).to.equal(0);
      expect(readFileSync(shop.path("out", "result"), "utf8")).to.equal("built\n");
      const certificate = shop.path(".config/satellites/buildx/ada/tls.crt");
      const before = readFileSync(certificate, "utf8");
      await renew();
      await make();
      expect(readFileSync(certificate, "utf8")).not.to.equal(before);
      const again = await buildx("ada");
      expect(again.code, again.output).to.equal(0);
      await forbid(BUILDERS);
      await renew("another-builder");
      await make();
      expect((await buildx("ada")).output).to.contain(
        'user "another-builder" may not connect to satellite team-a/ada',
      );
      await allow(BUILDERS);
      const removed = await plugin(["buildx", "--rm", "ada"], environment());
      expect(await removed.ended, removed.logTail()).to.equal(0);
      expect(existsSync(certificate)).to.equal(false);
      expect((await shop.run("buildx", ["inspect", "ada"]).ended).code).not.to.equal(0);
    });

    it("is asked for by name, and one that is not there yet or has ended is told as such", async () => {
      await cluster.server.admin.request("DELETE", SECRET);
      const fails = async (): Promise<string> => {
        const started = await plugin(
          ["buildx", "ada", "-n", "team-a", "--cert-secret", "ada-buildx"],
          environment(),
        );
        expect(await started.ended).to.equal(1);
        return started.logTail();
      };
      expect(await fails()).to.contain("ada-buildx");
      await cluster.post("/api/v1/namespaces/team-a/secrets", { metadata: { name: "ada-buildx" } });
      expect(await fails()).to.contain(
        "holds no tls.crt and tls.key (yet): kubectl describe certificate -n team-a",
      );
    });
  });
});
