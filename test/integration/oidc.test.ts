import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { generateKeyPair } from "jose";
import { GrpcStatus } from "../../src/router/engine.ts";
import { awake } from "../router/satellites.ts";
import { RawVM } from "../router/support/http2-peers.ts";
import { installCrds } from "../support/crds.ts";
import { startKubeApiServer, type KubeApiServer } from "../support/kube-apiserver.ts";
import { TestIssuer } from "../support/oidc-issuer.ts";
import { createTestAuthority } from "../support/pki.ts";
import { freePort, startProcess, untilReady, type TestProcess } from "../support/process.ts";
import { auditedRequests } from "../support/rights.ts";
import { callByTls } from "../support/tls-call.ts";
import { requireTool } from "../tools/catalog.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const SATELLITE = "/apis/satellites.dev/v1alpha1/namespaces/team-a/satellites/ada";
const ROUTER = "system:serviceaccount:satellites:router";
/** A router reads an issuer's keys again for an unknown one at most so often. */
const REREAD_PAUSE_MS = 10_000;

/** As a job on GitHub and one on GitLab have it: no secret is stored anywhere, and RBAC says what which may. */
describe("access to a router by OIDC tokens, on kube-apiserver", function () {
  this.timeout(150_000);
  let directory: string;
  let server: KubeApiServer;
  let vm: RawVM;
  let github: TestIssuer;
  let gitlab: TestIssuer;
  let router: TestProcess;
  let port: number;
  let servingCa: string;
  const processes: TestProcess[] = [];

  const write = (name: string, content: string): string => {
    writeFileSync(join(directory, name), content, { mode: 0o600 });
    return join(directory, name);
  };

  async function post(path: string, body: object): Promise<void> {
    const answer = await server.admin.request("POST", path, body);
    expect(answer.status, JSON.stringify(answer.body)).to.equal(201);
  }

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "satellites-oidc-"));
    server = await startKubeApiServer();
    await installCrds(server.admin);
    for (const name of ["team-a", "satellites"]) {
      await post("/api/v1/namespaces", { metadata: { name } });
    }
    vm = await RawVM.start((stream) =>
      stream.respond(
        { ":status": 200, "content-type": "application/grpc", "grpc-status": "0" },
        { endStream: true },
      ),
    );
    const { spec, status, metadata, ...types } = awake({
      status: { endpoint: { host: "127.0.0.1", port: vm.port } },
    });
    await post(dirname(SATELLITE), { ...types, metadata: { name: metadata.name }, spec });
    await server.admin.mergePatch(`${SATELLITE}/status`, { status });
    await grantRights();
    const authority = await createTestAuthority("servers");
    const serving = await authority.issueServer();
    servingCa = authority.caPem;
    write("tls.crt", serving.cert);
    write("tls.key", serving.key);
    github = await TestIssuer.create();
    gitlab = await TestIssuer.create("https://issuer.example", "RS256");
    write("github.crt", await github.listen());
    write("gitlab.crt", await gitlab.listen());
    port = await freePort();
    // GitLab is away while the router starts.
    const { url } = gitlab;
    gitlab.trouble = { status: 503 };
    router = await startRouter(
      "--oidc-issuer",
      github.url,
      "--oidc-ca-file",
      join(directory, "github.crt"),
      "--oidc-username-prefix",
      "github:",
      "--oidc-groups-claim",
      "repository",
      "--oidc-groups-prefix",
      "github:",
      "--oidc-required-claim",
      "repository_owner_id=123",
      "--oidc-issuer",
      url,
      "--oidc-ca-file",
      join(directory, "gitlab.crt"),
      "--oidc-username-prefix",
      "gitlab:",
      "--oidc-audience",
      "builds",
    );
  });
  after(async () => {
    for (const process of processes) {
      await process.stop();
    }
    await github?.close();
    await gitlab?.close();
    vm?.stop();
    await server?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function grantRights(): Promise<void> {
    await post(`${RBAC}/clusterroles`, {
      metadata: { name: "router" },
      rules: [
        {
          apiGroups: ["satellites.dev"],
          resources: ["satellites"],
          verbs: ["get", "list", "watch", "patch"],
        },
        { apiGroups: ["satellites.dev"], resources: ["satellites/status"], verbs: ["patch"] },
        { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
        { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
      ],
    });
    await post(`${RBAC}/clusterrolebindings`, {
      metadata: { name: "router" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "router" },
      subjects: [{ kind: "ServiceAccount", namespace: "satellites", name: "router" }],
    });
    await post(`${RBAC}/namespaces/team-a/roles`, {
      metadata: { name: "connect" },
      rules: [{ apiGroups: ["satellites.dev"], resources: ["satellites/connect"], verbs: ["create"] }],
    });
    const subject = (kind: string, name: string): object => ({
      kind,
      name,
      apiGroup: "rbac.authorization.k8s.io",
    });
    await post(`${RBAC}/namespaces/team-a/rolebindings`, {
      metadata: { name: "connect" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "connect" },
      subjects: [
        subject("Group", "github:acme/app"),
        subject("User", "gitlab:project_path:acme/app:ref_type:branch:ref:main"),
      ],
    });
  }

  async function startRouter(...flags: string[]): Promise<TestProcess> {
    const token = await server.createServiceAccountToken("satellites", "router");
    const healthPort = await freePort();
    const started = await startProcess(
      "router",
      process.execPath,
      [
        MAIN,
        "router",
        "--kubeconfig",
        server.writeKubeconfig("router", { token }),
        "--listen",
        `127.0.0.1:${port}`,
        "--health-address",
        `127.0.0.1:${healthPort}`,
        "--router-id",
        "router",
        "--grace-seconds",
        "1",
        "--log-level",
        "debug",
        "--tls-cert",
        join(directory, "tls.crt"),
        "--tls-key",
        join(directory, "tls.key"),
        ...flags,
      ],
      join(directory, "router.log"),
    );
    processes.push(started);
    await untilReady(started, healthPort);
    return started;
  }

  async function kubectl(command: string): Promise<string> {
    const args = ["--kubeconfig", server.adminKubeconfig, ...command.split(" ")];
    return (await promisify(execFile)(requireTool("kubectl"), args)).stdout;
  }

  /** What a fresh client gets: "code reason", or "code reason: message". */
  async function ask(token: string, detail: "brief" | "long" = "brief"): Promise<string> {
    const fields = [["authorization", `Bearer ${token}`]] as const;
    const { brief, message } = await callByTls({ port, ca: servingCa, fields });
    return detail === "brief" ? brief : `${brief}: ${message}`;
  }

  const OK = String(GrpcStatus.OK);
  const INVALID = `${GrpcStatus.UNAUTHENTICATED} InvalidCredential`;
  const DENIED = `${GrpcStatus.PERMISSION_DENIED} NotPermitted`;
  const AWAY = `${GrpcStatus.UNAVAILABLE} OidcIssuerUnavailable`;
  const JOB = { repository: "acme/app", repository_owner_id: "123" };
  const PIPELINE = { aud: "builds", sub: "project_path:acme/app:ref_type:branch:ref:main" };

  it("is given at once to one issuer's tokens, and shown, while another issuer is away, and later to that one's", async () => {
    expect(await ask(await github.token(JOB))).to.equal(OK);
    const { body } = await server.admin.request("GET", SATELLITE);
    expect(body).to.have.nested.property("status.activity.router.oldestStream").that.deep.includes({
      user: "github:repo:acme/app:ref:refs/heads/main",
      method: "/test.Service/Call",
    });
    expect(await kubectl("-n team-a describe satellite ada")).to.match(
      /Oldest Stream:\s+Method: +\/test\.Service\/Call\s+Since: .*\s+User: +github:repo:acme\/app:ref:refs\/heads\/main/,
    );
    expect(await ask(await gitlab.token(PIPELINE))).to.equal(AWAY);
    gitlab.trouble = undefined;
    const token = await gitlab.token(PIPELINE);
    const endMs = performance.now() + 2 * REREAD_PAUSE_MS;
    let answer = AWAY;
    while (answer === AWAY && performance.now() < endMs) {
      answer = await ask(token);
    }
    expect(answer).to.equal(OK);
  });

  it("is given to tokens of the API server beside them", async () => {
    const token = await server.createServiceAccountToken("team-a", "ci", { audiences: ["satellites.dev"] });
    expect(await ask(token)).to.equal(DENIED);
  });

  it("goes by RBAC: for the group of one repository, and for one subject", async () => {
    expect(await ask(await github.token({ ...JOB, repository: "acme/other" }))).to.equal(DENIED);
    expect(
      await ask(await gitlab.token({ ...PIPELINE, sub: "project_path:acme/app:ref_type:branch:ref:x" })),
    ).to.equal(DENIED);
    expect(await ask(await github.token({ ...JOB, repository: "evil/app" }), "long")).to.match(
      /^7 NotPermitted: user "github:repo:acme\/app:ref:refs\/heads\/main" may not connect to satellite team-a\/ada/,
    );
  });

  it("is refused with the commands that grant it, and the one that checks it", async () => {
    const job = { ...JOB, repository: "acme/new", sub: "repo:acme/new:ref:refs/heads/main" };
    const answer = await ask(await github.token(job), "long");
    const commands = [...answer.matchAll(/kubectl (?<command>-n team-a .*?)(?=, then|\. To|$)/g)].map(
      ({ groups }) => groups?.["command"]?.replace("USER", `github:${job.sub}`) ?? "",
    );
    expect(commands).to.have.lengthOf(3);
    const [role = "", binding = "", check = ""] = commands;
    const before = await kubectl(check).catch((error: unknown) =>
      String(Reflect.get(error as object, "stdout")),
    );
    expect(before.trim()).to.match(/^no/);
    await kubectl(role);
    await kubectl(binding);
    expect((await kubectl(check)).trim()).to.equal("yes");
    // A token of another job, since the refusal is remembered for some seconds: the same user may, whatever the job.
    expect(await ask(await github.token({ ...job, repository: "acme/newer" }))).to.equal(OK);
  });

  it("ends when the right is taken away", async () => {
    const binding = `${RBAC}/namespaces/team-a/rolebindings/connect`;
    const { body } = await server.admin.request("GET", binding);
    // Another branch each time, so that no answer is remembered.
    const branch = (name: string): Promise<string> =>
      github.token({ ...JOB, sub: `repo:acme/app:ref:${name}` });
    expect(await ask(await branch("before"))).to.equal(OK);
    await server.admin.request("DELETE", binding);
    expect(await ask(await branch("after"))).to.equal(DENIED);
    const { metadata: _metadata, ...rest } = body as { metadata: object };
    await post(`${RBAC}/namespaces/team-a/rolebindings`, { ...rest, metadata: { name: "connect" } });
  });

  it("is not given to tokens that are not what the router was told to take", async () => {
    const now = Math.floor(Date.now() / 1000);
    const stranger = (await generateKeyPair("ES256")).privateKey;
    const tokens = [
      github.token({ ...JOB, aud: "https://github.com/acme" }),
      github.token({ ...JOB, exp: now - 60 }),
      github.token({ ...JOB, nbf: now + 3600 }),
      github.token({ ...JOB, repository_owner_id: "124" }),
      github.token(JOB, { key: stranger }),
      github.token(JOB, { alg: "HS256", key: Buffer.from(JSON.stringify(github.publicKeys[0])) }),
      // An issuer's word holds for its own tokens alone.
      gitlab.token({ ...PIPELINE, iss: github.url, ...JOB, aud: "satellites.dev" }),
      gitlab.token({ ...PIPELINE, iss: "https://evil.example" }),
      gitlab.token({ ...PIPELINE, aud: "satellites.dev" }),
    ];
    for (const token of tokens) {
      expect(await ask(await token)).to.equal(INVALID);
    }
  });

  it("follows the issuer's change of keys", async () => {
    await github.addKey("RS256");
    github.withdrawOldKeys();
    const token = await github.token(JOB);
    const endMs = performance.now() + 2 * REREAD_PAUSE_MS;
    let answer = INVALID;
    while (answer === INVALID && performance.now() < endMs) {
      answer = await ask(token);
    }
    expect(answer).to.equal(OK);
  });

  it("costs the API server no TokenReview, and leaves no token in the router's log", () => {
    const reviews = auditedRequests(server.auditLog, ROUTER).filter(({ resource }) =>
      resource.endsWith("/tokenreviews"),
    );
    // That of the service account, and that of the issuer that nobody knows.
    expect(reviews).to.have.lengthOf(2);
    const log = readFileSync(join(directory, "router.log"), "utf8");
    expect(log).to.contain("the keys of an OIDC issuer cannot be read");
    expect(log).to.contain("a token of an OIDC issuer was accepted");
    expect(log).to.not.contain("eyJ");
    expect(router.isRunning()).to.equal(true);
  });
});
