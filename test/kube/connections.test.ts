import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect as connectTo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KubeConfig } from "@kubernetes/client-node";
import { expect } from "chai";
import { Registry } from "prom-client";
import type { Clock } from "../../src/base/clock.ts";
import { systemClock } from "../../src/base/clock.ts";
import { type ConnectedKubeClient, createKubeClient } from "../../src/kube/http-client.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { NAMESPACE } from "../../src/kube/resources.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { createTestAuthority, type TestAuthority } from "../support/pki.ts";
import { answer, silence, TestApiServer } from "../support/test-api-server.ts";

/** An HTTP proxy that tunnels (RFC 9110, section 9.3.6) and counts its tunnels. */
class ConnectProxy {
  tunnelCount = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server = createServer();

  async start(): Promise<string> {
    this.#server.on("connection", (socket: Socket) => this.#sockets.add(socket));
    this.#server.on("connect", (request, socket: Socket) => {
      this.tunnelCount += 1;
      const { hostname, port } = new URL(`http://${request.url ?? ""}`);
      const upstream = connectTo(Number(port), hostname, () => {
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        upstream.pipe(socket).pipe(upstream);
      });
      this.#sockets.add(upstream);
    });
    await new Promise<void>((resolve) => {
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}

describe("connections to the API server", () => {
  let authority: TestAuthority;
  let server: TestApiServer;
  const clients: ConnectedKubeClient[] = [];

  const connect = (config: KubeConfig, clock: Clock = systemClock): ConnectedKubeClient => {
    const client = createKubeClient({
      config,
      clock,
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
    const proxy = new ConnectProxy();
    const config = server.config({ token: "t" });
    const proxyUrl = await proxy.start();
    config.clusters = config.clusters.map((cluster) => ({ ...cluster, proxyUrl }));
    const client = connect(config);
    for (let call = 0; call < 30; call++) {
      await client.get(NAMESPACE, { name: "apps" });
    }
    expect(server.received).to.have.length(30);
    expect(server.received[0]?.headers.authorization).to.equal("Bearer t");
    expect(proxy.tunnelCount).to.be.within(1, 2);
    await client.close();
    await proxy.stop();
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
    const client = connect(server.config({ certFile, keyFile }), clock);
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
