import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import { systemClock } from "../../src/base/clock.ts";
import { connectKubernetes } from "../../src/commands/connect-kubernetes.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { NAMESPACE } from "../../src/kube/resources.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { HttpProxy } from "../support/http-proxy.ts";

describe("the connection of a process to its API server", () => {
  let directory: string;
  let kubeconfig: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "connect-"));
    kubeconfig = join(directory, "config");
    writeFileSync(
      kubeconfig,
      JSON.stringify({
        clusters: [{ name: "a", cluster: { server: "https://kube.invalid:6443" } }],
        users: [{ name: "a", user: { token: "t" } }],
        contexts: [{ name: "a", context: { cluster: "a", user: "a" } }],
        "current-context": "a",
      }),
    );
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  for (const [noProxy, tunnels] of [
    ["", ["kube.invalid:6443"]],
    ["kube.invalid", []],
  ] as const) {
    it(`goes through HTTPS_PROXY with NO_PROXY="${noProxy}": ${tunnels.length} tunnels`, async () => {
      const proxy = new HttpProxy(false);
      const client = connectKubernetes(
        { kubeconfig, component: "test", metrics: createKubeMetrics(new Registry()) },
        {
          environment: { HTTPS_PROXY: await proxy.start(), NO_PROXY: noProxy },
          clock: systemClock,
          random: () => 0,
          logger: silentLogger,
          stop: new AbortController().signal,
        },
      );
      try {
        await client.get(NAMESPACE, { name: "apps" }).catch(() => {});
        expect([...new Set(proxy.tunnels)]).to.deep.equal(tunnels);
      } finally {
        await client.close();
        await proxy.stop();
      }
    });
  }
});
