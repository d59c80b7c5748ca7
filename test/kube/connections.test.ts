import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KubeConfig } from "@kubernetes/client-node";
import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import type { Clock } from "../../src/base/clock.ts";
import { systemClock } from "../../src/base/clock.ts";
import { noProxy, type ProxyRule } from "../../src/base/proxy.ts";
import { type ConnectedKubeClient, createKubeClient } from "../../src/kube/http-client.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { NAMESPACE } from "../../src/kube/resources.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { HttpProxy } from "../support/http-proxy.ts";
import { createTestAuthority, type TestAuthority } from "../support/pki.ts";
import { answer, silence, TestApiServer } from "../support/test-api-server.ts";

describe("connections to the API server", () => {
  let authority: TestAuthority;
  let server: TestApiServer;
  const clients: ConnectedKubeClient[] = [];

  const connect = (
    config: KubeConfig,
    { clock = systemClock, proxyFor = noProxy }: { clock?: Clock; proxyFor?: ProxyRule } = {},
  ): ConnectedKubeClient => {
    const client = createKubeClient({
      config,
      clock,
      proxyFor,
      random: Math.random,
      logger: silentLogger,
      metrics: createKubeMetrics(new Registry()),
      userAgent: "test",
      fieldManager: "test",
    });
    clients.push(client);
    return client;
  };

  before(async () => {
    authority = await createTestAuthority("test");
  });

  beforeEach(() => {
    server = new TestApiServer();
    server.fallback = answer(200, { metadata: { name: "apps" } });
  });

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
    await server.stop();
  });

  it("go through the proxy that the kubeconfig names, few for many calls, with TLS to the server", async () => {
    await server.start({ authority });
    const proxy = new HttpProxy();
    const config = server.config({ token: "t" });
    const proxyUrl = await proxy.start();
    config.clusters = config.clusters.map((cluster) => ({ ...cluster, proxyUrl }));
    const client = connect(config);
    for (let call = 0; call < 30; call++) {
      await client.get(NAMESPACE, { name: "apps" });
    }
    expect(server.received).to.have.length(30);
    expect(server.received[0]?.headers.authorization).to.equal("Bearer t");
    expect(proxy.tunnels.length).to.be.within(1, 2);
    await client.close();
    await proxy.stop();
  });

  it("go through the proxy that the environment names, unless the kubeconfig names another", async () => {
    await server.start({ authority });
    const [general, own] = [new HttpProxy(), new HttpProxy()];
    const proxyUrl = await general.start();
    const config = server.config({ token: "t" });
    await connect(config, { proxyFor: () => proxyUrl }).get(NAMESPACE, { name: "apps" });
    expect([general.tunnels.length, own.tunnels.length]).to.deep.equal([1, 0]);
    const ownUrl = await own.start();
    config.clusters = config.clusters.map((cluster) => ({ ...cluster, proxyUrl: ownUrl }));
    await connect(config, { proxyFor: () => proxyUrl }).get(NAMESPACE, { name: "apps" });
    expect([general.tunnels.length, own.tunnels.length]).to.deep.equal([1, 1]);
    await Promise.all(clients.splice(0).map((client) => client.close()));
    await Promise.all([general.stop(), own.stop()]);
  });

  it("do not let an urgent call wait behind others", async () => {
    await server.start({ authority });
    const config = server.config({ token: "t" });
    const client = connect(config);
    const given = new AbortController();
    const answerUrgent = answer(200, { metadata: { name: "urgent" } });
    server.fallback = (request, response) =>
      request.url.includes("urgent") ? answerUrgent(request, response) : silence(request, response);
    const waiting = Array.from({ length: 100 }, () =>
      client.get(NAMESPACE, { name: "apps" }, { signal: given.signal }).catch(String),
    );
    const { metadata } = await client.get(NAMESPACE, { name: "urgent" }, { urgent: true });
    expect(metadata.name).to.equal("urgent");
    given.abort(new Error("given up"));
    expect(new Set(await Promise.all(waiting))).to.deep.equal(new Set(["Error: given up"]));
  });

  it("are refused a proxy of a kind that is not known", async () => {
    await server.start({ authority });
    const config = server.config();
    config.clusters = config.clusters.map((cluster) => ({ ...cluster, proxyUrl: "ftp://proxy" }));
    const thrown = await connect(config)
      .get(NAMESPACE, { name: "apps" })
      .catch((error: unknown) => error);
    expect(thrown).to.have.property("code", "KubeConfigInvalid");
  });

  it("are made anew when the client certificate's files were replaced", async () => {
    await server.start({ authority, clientCertificates: true });
    const directory = await mkdtemp(join(tmpdir(), "client-cert-"));
    const [certFile, keyFile] = [join(directory, "tls.crt"), join(directory, "tls.key")];
    const install = async (name: string): Promise<void> => {
      const { cert, key } = await authority.issueClient(name);
      await writeFile(certFile, cert);
      await writeFile(keyFile, key);
    };
    let skippedMs = 0;
    const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + skippedMs };
    const client = connect(server.config({ certFile, keyFile }), { clock });
    await install("before");
    await client.get(NAMESPACE, { name: "apps" });
    await install("after");
    await client.get(NAMESPACE, { name: "apps" });
    skippedMs = 10_000;
    await client.get(NAMESPACE, { name: "apps" });
    await rm(directory, { recursive: true });
    expect(server.received.map(({ clientName }) => clientName)).to.deep.equal(["before", "before", "after"]);
  });

  it("check the name that the kubeconfig gives instead of the URL's", async () => {
    await server.start({ authority });
    const config = server.config();
    const named = (tlsServerName: string): KubeConfig => {
      const copy = server.config();
      copy.clusters = config.clusters.map((cluster) => ({ ...cluster, tlsServerName }));
      return copy;
    };
    await connect(named("localhost")).get(NAMESPACE, { name: "apps" });
    const thrown = await connect(named("elsewhere.example"))
      .get(NAMESPACE, { name: "apps" })
      .catch((error: unknown) => error);
    expect(thrown)
      .to.be.instanceOf(Error)
      .with.property("message")
      .that.contains("ERR_TLS_CERT_ALTNAME_INVALID");
    expect(server.received).to.have.length(1);
  });
});
