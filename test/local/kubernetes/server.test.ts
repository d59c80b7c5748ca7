import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { Agent, request } from "undici";
import { parse, stringify } from "yaml";
import { SatelliteError } from "../../../src/base/errors.ts";
import { asString, type JsonObject, type JsonValue, valueAt } from "../../../src/local/kubernetes/json.ts";
import { writeKubeconfig } from "../../../src/local/kubernetes/kubeconfig.ts";
import {
  startKubernetesServer,
  type KubernetesServer,
  type KubernetesServerOptions,
} from "../../../src/local/kubernetes/server.ts";
import { probe, PROBE_CRD, PROBES, summary, TOKEN, type WatchLine } from "./support.ts";

const USER = { name: "tester", groups: ["system:masters"], token: TOKEN };

describe("Kubernetes server", () => {
  let stateDir: string;
  const running: KubernetesServer[] = [];
  const agents: Agent[] = [];

  const start = async (options: Partial<KubernetesServerOptions> = {}): Promise<KubernetesServer> => {
    const server = await startKubernetesServer({ stateDir, crds: [PROBE_CRD], users: [USER], ...options });
    running.push(server);
    return server;
  };
  const clientOf = (server: KubernetesServer): Agent => {
    const agent = new Agent({ connect: { ca: server.caPem } });
    agents.push(agent);
    return agent;
  };
  const send = (
    server: KubernetesServer,
    dispatcher: Agent,
    method: "GET" | "POST",
    path: string,
    body?: JsonValue,
  ) =>
    request(`${server.url}${path}`, {
      method,
      dispatcher,
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });

  beforeEach(() => {
    stateDir = mkdtempSync(join(tmpdir(), "kubernetes-"));
  });
  afterEach(async () => {
    await Promise.all(running.splice(0).map((server) => server.close()));
    await Promise.all(agents.splice(0).map((agent) => agent.destroy()));
    rmSync(stateDir, { recursive: true });
  });

  it("serves the API over TLS to those who trust its CA and hold a token", async () => {
    const server = await start();
    const client = clientOf(server);
    const created = await send(server, client, "POST", PROBES, probe("a", { unknown: 1 }));
    expect(created.statusCode).to.equal(201);
    expect(created.headers["warning"]).to.equal('299 - "unknown field \\"spec.unknown\\""');
    const anonymous = await request(`${server.url}${PROBES}`, { dispatcher: client });
    expect(anonymous.statusCode).to.equal(401);
    const stranger = new Agent();
    agents.push(stranger);
    const refused = await send(server, stranger, "GET", "/version").then(
      () => "served",
      (error: NodeJS.ErrnoException) => error.code,
    );
    expect(refused).to.be.oneOf(["SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_VERIFY_LEAF_SIGNATURE"]);
  });

  it("streams a watch, and ends it when it closes", async () => {
    const server = await start();
    const client = clientOf(server);
    const { body } = await send(server, client, "GET", `${PROBES}?watch=true`);
    await send(server, client, "POST", PROBES, probe("a"));
    const chunks = body[Symbol.asyncIterator]();
    const first = await chunks.next();
    const line = JSON.parse(String(first.value)) as WatchLine;
    expect(summary([line])).to.deep.equal(["ADDED a"]);
    const rest = chunks.next();
    await server.close();
    const ended = await rest.then(
      ({ done }) => done,
      () => true,
    );
    expect(ended).to.equal(true);
  });

  it("keeps objects, resourceVersions, UIDs and its CA over a restart, and watches resume", async () => {
    const first = await start();
    const client = clientOf(first);
    const created = (await (await send(first, client, "POST", PROBES, probe("a"))).body.json()) as JsonObject;
    const revision = asString(valueAt(created, "metadata", "resourceVersion"));
    const system = first.api.store.get("/namespaces", "kube-system")?.object;
    await send(first, client, "POST", PROBES, probe("b"));
    await first.close();

    const second = await start();
    expect(second.caPem).to.equal(first.caPem);
    expect(second.api.store.get("/namespaces", "kube-system")?.object).to.deep.equal(system);
    const again = clientOf(second);
    expect(await (await send(second, again, "GET", `${PROBES}/a`)).body.json()).to.deep.equal(created);
    const { body } = await send(
      second,
      again,
      "GET",
      `${PROBES}?watch=true&timeoutSeconds=1&resourceVersion=${revision}`,
    );
    const lines = (await body.text()).trim().split("\n");
    expect(summary(lines.map((line) => JSON.parse(line) as WatchLine))).to.deep.equal(["ADDED b"]);
    const third = (await (await send(second, again, "POST", PROBES, probe("c"))).body.json()) as JsonObject;
    expect(Number(valueAt(third, "metadata", "resourceVersion"))).to.equal(Number(revision) + 2);
  });

  it("names the port and what to do when somebody else listens there", async () => {
    const { port } = await start();
    const other = mkdtempSync(join(tmpdir(), "kubernetes-"));
    try {
      const error = await start({ port, stateDir: other }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error).to.be.instanceOf(SatelliteError);
      expect((error as SatelliteError).code).to.equal("PortInUse");
      expect((error as SatelliteError).message)
        .to.contain(`port ${port}`)
        .and.to.contain("choose another port");
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  it("refuses to start with a CRD that it cannot judge, and says which rule", async () => {
    const path = join(stateDir, "crd.yaml");
    const crd = structuredClone(PROBE_CRD);
    const [version] = valueAt(crd, "spec", "versions") as JsonObject[];
    const schema = valueAt(version, "schema", "openAPIV3Schema") as JsonObject;
    schema["x-kubernetes-validations"] = [{ rule: "self.spec.nowhere == 1" }];
    writeFileSync(path, stringify(crd));
    const error = await start({ crds: [], crdPaths: [path] }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).to.be.instanceOf(SatelliteError);
    expect((error as SatelliteError).message).to.contain("undefined field 'nowhere'");
  });

  it("says so when a CRD file is missing", async () => {
    const error = await start({ crdPaths: [join(stateDir, "no.yaml")] }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect((error as SatelliteError).code).to.equal("CrdUnreadable");
  });

  it("writes kubeconfigs that only their owner can read", async () => {
    const server = await start();
    const path = join(stateDir, "kubeconfig");
    writeKubeconfig(path, { url: server.url, caPem: server.caPem, user: USER, namespace: "team" });
    expect(statSync(path).mode & 0o777).to.equal(0o600);
    const config = parse(readFileSync(path, "utf8")) as JsonObject;
    expect(config["current-context"]).to.equal("satellites");
    const [cluster] = config["clusters"] as JsonObject[];
    expect(valueAt(cluster, "cluster", "server")).to.equal(server.url);
  });

  it("refuses bodies beyond the limit of kube-apiserver", async () => {
    const server = await start();
    const body = probe("a", { names: ["x".repeat(4 * 1024 * 1024)] });
    const { statusCode } = await send(server, clientOf(server), "POST", PROBES, body);
    expect(statusCode).to.equal(413);
  });
});
