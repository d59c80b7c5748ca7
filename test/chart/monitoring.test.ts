import { expect } from "chai";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { findManifest, renderChart } from "../support/helm.ts";

describe("the chart's monitoring", function () {
  this.timeout(60_000);
  const METRICS = ["kube", "operator", "router", "machines/ec2", "telemetry"].map((room) =>
    readFileSync(join(import.meta.dirname, "../../src", room, "metrics.ts"), "utf8"),
  );
  const known = new Set(
    METRICS.flatMap((text) => [
      ...text.matchAll(/"((?:satellites|workqueue|rest_client|controller_runtime|leader_election)_\w+)"/g),
    ]).map(([, name]) => name ?? ""),
  );
  known.add("process_resident_memory_bytes");

  /** Names of metrics in a PromQL expression: what stands before "{". Buckets belong to their histogram. */
  const metricsIn = (text: string): string[] =>
    [...text.matchAll(/([a-z0-9_:]+)\{/g)].map(([, name = ""]) => name.replace(/_bucket$/, ""));

  it("is off unless asked for", async () => {
    const kinds = (await renderChart()).map(({ kind }) => kind);
    expect(kinds).to.include("Deployment");
    expect(kinds).to.not.include.oneOf(["ServiceMonitor", "PrometheusRule", "ConfigMap"]);
  });

  it("scrapes both programs", async () => {
    const manifests = await renderChart({ serviceMonitor: { enabled: true } });
    const { endpoints } = findManifest(manifests, "ServiceMonitor", "sat-satellites")["spec"] as {
      endpoints: { port: string }[];
    };
    const { ports } = findManifest(manifests, "Service", "sat-satellites-metrics")["spec"] as {
      ports: { name: string }[];
    };
    expect(endpoints.map(({ port }) => port)).to.deep.equal(ports.map(({ name }) => name));
  });

  it("alerts on metrics that exist", async () => {
    const manifests = await renderChart({ prometheusRule: { enabled: true } });
    const { groups } = findManifest(manifests, "PrometheusRule", "sat-satellites")["spec"] as {
      groups: { rules: { alert: string; expr: string }[] }[];
    };
    const expressions = groups.flatMap(({ rules }) => rules.map(({ expr }) => expr));
    expect(expressions).to.have.length.greaterThan(4);
    const named = expressions.flatMap(metricsIn);
    expect(named).to.have.length.greaterThan(4);
    expect(named.filter((name) => !known.has(name))).to.deep.equal([]);
  });

  it("draws metrics that exist", async () => {
    const manifests = await renderChart({ dashboard: { enabled: true } });
    const { data } = findManifest(manifests, "ConfigMap", "sat-satellites-dashboard") as unknown as {
      data: { "satellites.json": string };
    };
    const { panels } = JSON.parse(data["satellites.json"]) as { panels: { targets: { expr: string }[] }[] };
    const named = panels.flatMap(({ targets }) => targets.flatMap(({ expr }) => metricsIn(expr)));
    expect(named).to.have.length.greaterThan(10);
    expect(named.filter((name) => !known.has(name))).to.deep.equal([]);
  });
});
