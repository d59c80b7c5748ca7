import { expect } from "chai";
import { systemClock } from "../../src/base/clock.ts";
import { connectKubernetes } from "../../src/commands/connect-kubernetes.ts";
import type { ConnectedKubeClient } from "../../src/kube/http-client.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { Reflector } from "../../src/kube/reflector.ts";
import { SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { createMetricsRegistry } from "../../src/telemetry/metrics.ts";
import { CollectingLogger } from "../support/collecting-logger.ts";
import { installCrds, waitForCustomResources } from "../support/crds.ts";
import { eventually } from "../support/eventually.ts";
import { SATELLITES_PATH } from "../support/installation.ts";
import { type KubeApiServer, startKubeApiServer } from "../support/kube-apiserver.ts";
import { kubeconfig } from "../support/kubeconfig.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The cache against kube-apiserver through a line on which all goes wrong that can. */
describe("a reflector on kube-apiserver", function () {
  this.timeout(180_000);
  let server: KubeApiServer;
  let proxy: TcpProxy;
  let client: ConnectedKubeClient;
  let reflector: Reflector<Satellite>;
  const logger = new CollectingLogger();
  const stopping = new AbortController();
  let running: Promise<void>;
  let serial = 0;

  before(async () => {
    server = await startKubeApiServer();
    await installCrds(server.admin);
    await server.admin.request("POST", "/api/v1/namespaces", { metadata: { name: "team-a" } });
    proxy = await TcpProxy.start(server.url);
    const file = join(dirname(server.adminKubeconfig), "proxied.kubeconfig");
    const { credentials } = server.admin;
    writeFileSync(file, kubeconfig(`https://${proxy.address}`, server.caPem, credentials), { mode: 0o600 });
    client = connectKubernetes(
      {
        kubeconfig: file,
        component: "satellites-test",
        metrics: createKubeMetrics(createMetricsRegistry()),
      },
      { environment: {}, clock: systemClock, random: Math.random, logger, stop: stopping.signal },
    );
    reflector = new Reflector<Satellite>({
      client,
      type: SATELLITES,
      clock: systemClock,
      random: Math.random,
      logger,
    });
    running = reflector.run(stopping.signal);
    await reflector.synced();
  });
  after(async () => {
    stopping.abort();
    await running;
    await client?.close();
    await proxy?.stop();
    await server?.stop();
  });

  /** Creates, changes and deletes satellites, past the proxy. */
  async function change(): Promise<void> {
    serial += 1;
    const names = [`a-${serial}`, `b-${serial}`];
    for (const name of names) {
      const { status } = await server.admin.request("POST", SATELLITES_PATH, {
        apiVersion: "satellites.dev/v1alpha1",
        kind: "Satellite",
        metadata: { name },
        spec: {},
      });
      expect(status).to.equal(201);
    }
    await server.admin.mergePatch(`${SATELLITES_PATH}/a-${serial}`, { spec: { size: "large" } });
    if (serial > 1) {
      const { status } = await server.admin.request("DELETE", `${SATELLITES_PATH}/b-${serial - 1}`);
      expect(status).to.equal(200);
    }
  }

  /** Waits until the cache holds exactly what the server does, each object in its version. */
  async function untilEqual(): Promise<void> {
    const { body } = await server.admin.request("GET", SATELLITES_PATH);
    const versions = (items: readonly Satellite[]): string[] =>
      items.map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion ?? ""}`).toSorted();
    const expected = versions((body as { items: Satellite[] }).items).join();
    await eventually(
      "the cache equals the server",
      () => versions(reflector.cache.list()).join() === expected,
    );
  }

  it("tells what happened while its connections were reset, again and again", async () => {
    for (let round = 0; round < 5; round += 1) {
      await change();
      proxy.reset();
      await change();
      await untilEqual();
    }
  });

  it("keeps up over a slow line", async () => {
    proxy.slow(500);
    await change();
    await untilEqual();
    proxy.mend();
    await change();
    await untilEqual();
  });

  it("tells what happened while nothing passed, and what was held back", async () => {
    proxy.cut();
    await change();
    proxy.mend();
    await untilEqual();
  });

  it("lists again when etcd has forgotten what it saw last", async () => {
    await change();
    await untilEqual();
    proxy.cut();
    proxy.reset();
    await change();
    await server.compact();
    // The watch cache of the server forgets only when it starts anew.
    await server.restart();
    await waitForCustomResources(server.admin);
    proxy.mend();
    proxy.reset();
    await untilEqual();
    await change();
    await untilEqual();
    expect(logger.lines.some(({ message }) => message.includes("too old"))).to.equal(true);
  });
});
