import { createPrivateKey, createSign, generateKeyPairSync, type KeyObject } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { ServerHttp2Stream } from "node:http2";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { loadGuestSchema } from "../../src/guest/schema.ts";
import { GrpcStatus } from "../../src/router/engine.ts";
import type { Fields } from "../router/access/access-bench.ts";
import { newAuthority, newClientCertificate, type Certificate } from "../router/access/certificates.ts";
import { awake, satellite } from "../router/satellites.ts";
import { RawVM } from "../router/support/http2-peers.ts";
import { installCrds } from "../support/crds.ts";
import { startKubeApiServer, type KubeApiServer } from "../support/kube-apiserver.ts";
import { createTestAuthority } from "../support/pki.ts";
import { freePort, startProcess, untilReady, type TestProcess } from "../support/process.ts";
import { auditedRequests } from "../support/rights.ts";
import { callByTls } from "../support/tls-call.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
const AUDIENCE = "satellites.dev";
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const SATELLITES = "/apis/satellites.dev/v1alpha1/namespaces/team-a/satellites";
const ROUTER = "system:serviceaccount:satellites:router";

const bearer = (token: string): Fields => [["authorization", `Bearer ${token}`]];

const RUN = loadGuestSchema().execution["Run"];

/** What the guest says of a command that writes "hello" and ends with 7. */
function answerRun(stream: ServerHttp2Stream): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  for (const event of [
    { stdout: Buffer.from("hello") },
    { exit: { code: 7, signal: "", timedOut: false } },
  ]) {
    const message = RUN?.responseSerialize(event) ?? Buffer.alloc(0);
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    stream.write(Buffer.concat([prefix, message]));
  }
  stream.end();
}

/** Real service account tokens, audiences, RBAC and certificates, with the router as a process under its own account. */
describe("access to a router on kube-apiserver", function () {
  this.timeout(150_000);
  let server: KubeApiServer;
  let vm: RawVM;
  let directory: string;
  let router: TestProcess;
  let port: number;
  let clients: Certificate;
  let servingCa: string;
  const processes: TestProcess[] = [];

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "satellites-access-"));
    server = await startKubeApiServer();
    await installCrds(server.admin);
    for (const name of ["team-a", "satellites"]) {
      await post("/api/v1/namespaces", { metadata: { name } });
    }
    vm = await RawVM.start((stream, headers) => {
      if (headers[":path"] === RUN?.path) {
        answerRun(stream);
        return;
      }
      stream.respond(
        { ":status": 200, "content-type": "application/grpc", "grpc-status": "0" },
        { endStream: true },
      );
    });
    await putSatellite(awake({ status: { endpoint: { host: "127.0.0.1", port: vm.port } } }));
    await putSatellite(satellite({ name: "bob" }));
    await grantRights();
    const authority = await createTestAuthority("servers");
    const serving = await authority.issueServer();
    servingCa = authority.caPem;
    clients = await newAuthority("clients");
    write("tls.crt", serving.cert);
    write("tls.key", serving.key);
    write("clients.crt", clients.cert);
    port = await freePort();
    router = await startRouter("router", port);
  });
  after(async () => {
    for (const process of processes) {
      await process.stop();
    }
    vm?.stop();
    await server?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const write = (name: string, content: string): string => {
    writeFileSync(join(directory, name), content, { mode: 0o600 });
    return join(directory, name);
  };

  async function post(path: string, body: object): Promise<void> {
    const answer = await server.admin.request("POST", path, body);
    expect(answer.status, JSON.stringify(answer.body)).to.equal(201);
  }

  async function putSatellite({
    spec,
    status,
    metadata: { name },
    ...types
  }: ReturnType<typeof satellite>): Promise<void> {
    await post(SATELLITES, { ...types, metadata: { name }, spec });
    const answer = await server.admin.mergePatch(`${SATELLITES}/${name}/status`, { status });
    expect(answer.status, JSON.stringify(answer.body)).to.equal(200);
  }

  async function grantRights(): Promise<void> {
    const account = (namespace: string, name: string): object => ({
      kind: "ServiceAccount",
      namespace,
      name,
    });
    const grant = async (
      name: string,
      rules: readonly object[],
      subjects: readonly object[],
    ): Promise<void> => {
      await post(`${RBAC}/clusterroles`, { metadata: { name }, rules });
      await post(`${RBAC}/clusterrolebindings`, {
        metadata: { name },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
        subjects,
      });
    };
    const routers = [account("satellites", "router"), account("satellites", "router-without-reviews")];
    await grant(
      "router",
      [
        {
          apiGroups: ["satellites.dev"],
          resources: ["satellites"],
          verbs: ["get", "list", "watch", "patch"],
        },
        { apiGroups: ["satellites.dev"], resources: ["satellites/status"], verbs: ["patch"] },
      ],
      routers,
    );
    await grant(
      "router-reviews",
      [
        { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
        { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
      ],
      routers.slice(0, 1),
    );
    await post(`${RBAC}/namespaces/team-a/roles`, {
      metadata: { name: "connect" },
      rules: [
        {
          apiGroups: ["satellites.dev"],
          resources: ["satellites/connect"],
          verbs: ["create"],
          resourceNames: ["ada"],
        },
      ],
    });
    await post(`${RBAC}/namespaces/team-a/rolebindings`, {
      metadata: { name: "connect" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: "connect" },
      subjects: [
        account("team-a", "ci"),
        account("team-a", "leaver"),
        { kind: "Group", apiGroup: "rbac.authorization.k8s.io", name: "builders" },
      ],
    });
  }

  async function startRouter(account: string, listenPort: number): Promise<TestProcess> {
    const token = await server.createServiceAccountToken("satellites", account);
    const healthPort = await freePort();
    const options = {
      kubeconfig: server.writeKubeconfig(account, { token }),
      listen: `127.0.0.1:${listenPort}`,
      "health-address": `127.0.0.1:${healthPort}`,
      "router-id": account,
      "grace-seconds": "1",
      "tls-cert": join(directory, "tls.crt"),
      "tls-key": join(directory, "tls.key"),
      "client-ca": join(directory, "clients.crt"),
    };
    const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
    const started = await startProcess(
      account,
      process.execPath,
      [MAIN, "router", ...args],
      join(directory, `${account}.log`),
    );
    processes.push(started);
    await untilReady(started, healthPort);
    return started;
  }

  /** What a fresh client gets: "code reason". */
  async function ask(
    fields: Fields,
    { name = "ada", certificate = {}, at = port }: { name?: string; certificate?: object; at?: number } = {},
  ): Promise<string> {
    const call = { port: at, ca: servingCa, certificate, satellite: name, fields };
    return (await callByTls(call)).brief;
  }

  const tokenOf = (account: string, ...audiences: string[]): Promise<string> =>
    server.createServiceAccountToken("team-a", account, audiences.length === 0 ? {} : { audiences });

  /** A good token with other claims, signed by `key`. */
  function forge(token: string, change: object, key: KeyObject): string {
    const [header = "", payload = ""] = token.split(".");
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString()) as object;
    const body = `${header}.${Buffer.from(JSON.stringify({ ...claims, ...change })).toString("base64url")}`;
    return `${body}.${createSign("RSA-SHA256").update(body).sign(key).toString("base64url")}`;
  }

  const clusterKey = (): KeyObject =>
    createPrivateKey(readFileSync(join(dirname(server.auditLog), "accounts.key"), "utf8"));

  const INVALID = `${GrpcStatus.UNAUTHENTICATED} InvalidCredential`;
  const DENIED = `${GrpcStatus.PERMISSION_DENIED} NotPermitted`;
  const MALFORMED = `${GrpcStatus.UNAUTHENTICATED} MalformedCredential`;
  const FAILED = `${GrpcStatus.UNAVAILABLE} AccessCheckFailed`;
  const OK = String(GrpcStatus.OK);

  describe("is refused to", () => {
    const now = (): number => Math.floor(Date.now() / 1000);
    const tokens: [string, () => Promise<string>, string][] = [
      ["a token for the API server", () => tokenOf("ci"), INVALID],
      ["a token for another service", () => tokenOf("ci", "vault"), INVALID],
      ["a token for a name that ours begins with", () => tokenOf("ci", "satellites.de"), INVALID],
      ["a stranger's token", () => tokenOf("stranger", AUDIENCE), DENIED],
      ["the router's own token", () => server.createServiceAccountToken("satellites", "router"), INVALID],
      [
        "a token with other claims under the old signature",
        async () => {
          const [stranger, ci] = [await tokenOf("stranger", AUDIENCE), await tokenOf("ci", AUDIENCE)];
          return [...ci.split(".").slice(0, 2), stranger.split(".")[2]].join(".");
        },
        INVALID,
      ],
      [
        "a token of another key",
        async () =>
          forge(
            await tokenOf("ci", AUDIENCE),
            {},
            generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey,
          ),
        INVALID,
      ],
      [
        "a token without signature",
        async () => `${(await tokenOf("ci", AUDIENCE)).split(".").slice(0, 2).join(".")}.`,
        INVALID,
      ],
      [
        "a token that ended a minute ago",
        async () =>
          forge(
            await tokenOf("ci", AUDIENCE),
            { iat: now() - 3_660, nbf: now() - 3_660, exp: now() - 60 },
            clusterKey(),
          ),
        INVALID,
      ],
      [
        "a token that begins in an hour",
        async () => forge(await tokenOf("ci", AUDIENCE), { nbf: now() + 3_600 }, clusterKey()),
        INVALID,
      ],
      [
        "a token of another issuer",
        async () => forge(await tokenOf("ci", AUDIENCE), { iss: "https://evil.example" }, clusterKey()),
        INVALID,
      ],
      [
        "a token whose service account was deleted",
        async () => {
          const token = await tokenOf("leaver", AUDIENCE);
          await server.admin.request("DELETE", "/api/v1/namespaces/team-a/serviceaccounts/leaver");
          return token;
        },
        INVALID,
      ],
    ];
    for (const [what, make, expected] of tokens) {
      it(what, async () => {
        const token = await make();
        expect(await ask(bearer(token))).to.equal(expected);
        expect(await ask([["satellite-token", token]], { name: "bob" })).to.equal(expected);
      });
    }

    it("a right to one satellite, for another one", async () => {
      expect(await ask(bearer(await tokenOf("ci", AUDIENCE)), { name: "bob" })).to.equal(DENIED);
      expect(await ask(bearer(await tokenOf("ci", AUDIENCE)), { name: "nobody" })).to.equal(DENIED);
    });

    it("a certificate of another authority, or of nobody with the right", async () => {
      const certificates = [
        await newClientCertificate("alice", await newAuthority("others"), { organizations: ["builders"] }),
        await newClientCertificate("alice", clients, { organizations: ["visitors"] }),
      ];
      expect(await ask([], { certificate: certificates[0] ?? {} })).to.equal(MALFORMED);
      expect(await ask([], { certificate: certificates[1] ?? {} })).to.equal(DENIED);
    });

    it("all of them without a single write but reviews, and without a word to the VM", async () => {
      const writes = auditedRequests(server.auditLog, ROUTER).filter(
        ({ verb }) => !["get", "list", "watch"].includes(verb),
      );
      expect(writes.length).to.be.greaterThan(10);
      expect(new Set(writes.map(({ resource }) => resource))).to.deep.equal(
        new Set(["authentication.k8s.io/tokenreviews", "authorization.k8s.io/subjectaccessreviews"]),
      );
      expect(vm.requests).to.deep.equal([]);
      const { body } = await server.admin.request("GET", `${SATELLITES}/bob`);
      expect(body).to.have.nested.property("spec.desiredPower", "off");
    });
  });

  describe("is given to", () => {
    const credentials: [string, () => Promise<{ fields: Fields; certificate?: object }>][] = [
      ["a token for routers", async () => ({ fields: bearer(await tokenOf("ci", AUDIENCE)) })],
      [
        "a token for routers and others",
        async () => ({ fields: bearer(await tokenOf("ci", "vault", AUDIENCE)) }),
      ],
      [
        "a bare token as earthly sends it",
        async () => ({ fields: [["satellite_token", await tokenOf("ci", AUDIENCE)]] }),
      ],
      [
        "a token that was forged with the cluster's own key, which shows that forging it works",
        async () => ({ fields: bearer(forge(await tokenOf("ci", AUDIENCE), {}, clusterKey())) }),
      ],
      [
        "a group's certificate",
        async () => ({
          fields: [],
          certificate: await newClientCertificate("alice", clients, { organizations: ["builders"] }),
        }),
      ],
    ];
    for (const [what, make] of credentials) {
      it(`${what}, and the VM sees nothing of it`, async () => {
        const { fields, ...rest } = await make();
        const arrived = vm.requests.length;
        expect(await ask([...fields, ["x-kept", "yes"]], rest)).to.equal(OK);
        const raw = vm.requests.slice(arrived).flat();
        expect(raw).to.include("x-kept");
        expect(raw.join("\n")).to.not.match(/bearer|token|authorization|eyJ/i);
      });
    }
  });

  describe("satellites run", () => {
    /** Its exit code and what it prints. */
    async function run(...flags: string[]): Promise<string> {
      const log = join(directory, `run-${Math.random()}.log`);
      const args = ["run", "ada", "--namespace", "team-a", "--router", `localhost:${port}`, ...flags];
      const started = await startProcess("run", process.execPath, [MAIN, ...args, "--", "true"], log);
      processes.push(started);
      const code = await started.ended;
      return `${code}: ${readFileSync(log, "utf8").trim()}`;
    }
    let withCa: string[];
    let admin: string[];

    before(async () => {
      await Promise.all(["ci", "stranger"].map((account) => tokenOf(account))); // Makes the accounts.
      withCa = ["--ca", write("servers.crt", servingCa)];
      admin = ["--kubeconfig", server.adminKubeconfig];
    });

    it("asks the API server for a token and shows it over TLS", async () => {
      expect(await run(...withCa, ...admin, "--service-account", "ci")).to.equal("7: hello");
    });

    it("shows a token from a file, or a client certificate", async () => {
      const file = write("ci.token", `${await tokenOf("ci", AUDIENCE)}\n`);
      expect(await run(...withCa, "--token-file", file)).to.equal("7: hello");
      const { cert, key } = await newClientCertificate("alice", clients, { organizations: ["builders"] });
      const certificate = [
        "--client-cert",
        write("alice.crt", cert),
        "--client-key",
        write("alice.key", key),
      ];
      expect(await run(...withCa, ...certificate)).to.equal("7: hello");
    });

    it("takes the name that the certificate bears instead of the address's, and no other", async () => {
      const file = write("ci.token", await tokenOf("ci", AUDIENCE));
      const call = ["--token-file", file, ...withCa, "--router"];
      expect(await run(...call, `127.0.0.1:${port}`, "--server-name", "localhost")).to.equal("7: hello");
      expect(await run(...call, `127.0.0.1:${port}`, "--server-name", "other.example")).to.match(/^1: /);
    });

    it("says what to name when it has shown nothing, nobody's right, or no TLS", async () => {
      expect(await run(...withCa)).to.match(/^1: .*UNAUTHENTICATED.*--service-account/s);
      expect(await run(...withCa, ...admin, "--service-account", "stranger")).to.match(
        /^1: .*PERMISSION_DENIED/s,
      );
      expect(await run(...withCa, ...admin, "--service-account", "nobody")).to.match(
        /^1: .*no service account team-a\/nobody.*NoToken/s,
      );
      expect(await run()).to.match(/^1: .*--tls or --ca/s);
    });

    it("sends no token in the clear, and takes no flags that contradict each other", async () => {
      const token = ["--token-file", write("ci.token", "t")];
      expect(await run(...token, "--router", "192.0.2.1:1")).to.match(/^1: .*in the clear.*InvalidOption/s);
      expect(await run(...withCa, ...token, "--service-account", "ci")).to.match(/^1: .*InvalidOption/s);
      expect(await run(...withCa, "--client-cert", "a")).to.match(/^1: .*--client-key.*InvalidOption/s);
      expect(await run(...withCa, "--token-file", join(directory, "none"))).to.match(
        /^1: .*--token-file.*NoToken/s,
      );
    });
  });

  // Mocha runs nested suites last, in order: this one takes the API server away.
  describe("fails closed", () => {
    it("when the router may not make reviews, and the log says which right it lacks", async () => {
      const otherPort = await freePort();
      const other = await startRouter("router-without-reviews", otherPort);
      expect(await ask(bearer(await tokenOf("ci", AUDIENCE)), { at: otherPort })).to.equal(FAILED);
      const certificate = await newClientCertificate("alice", clients, { organizations: ["builders"] });
      expect(await ask([], { at: otherPort, certificate })).to.equal(FAILED);
      expect(other.logTail()).to.contain("create tokenreviews");
      await other.stop();
    });

    it("while the API server does not answer, and when it is gone", async () => {
      const tokens = await Promise.all(
        Array.from({ length: 2 }, () => tokenOf("ci", AUDIENCE, `extra-${Math.random()}`)),
      );
      server.process.signal("SIGSTOP");
      try {
        expect(await ask(bearer(tokens[0] ?? ""))).to.equal(FAILED);
      } finally {
        server.process.signal("SIGCONT");
      }
      await server.process.stop("SIGKILL");
      expect(await ask(bearer(tokens[1] ?? ""))).to.equal(FAILED);
      expect(router.isRunning()).to.equal(true);
    });

    it("leaves no token in the router's log", () => {
      const log = readFileSync(join(directory, "router.log"), "utf8");
      expect(log).to.contain("the router listens");
      expect(log).to.not.contain("eyJ");
    });
  });
});
