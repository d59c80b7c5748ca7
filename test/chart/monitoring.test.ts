import { expect } from "chai";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { createEc2Metrics } from "../../src/machines/ec2/metrics.ts";
import { createOperatorMetrics } from "../../src/operator/metrics.ts";
import { createUsageMetrics } from "../../src/operator/usage-metrics.ts";
import { createAccessMetrics, createRouterMetrics, createWorkerMetrics } from "../../src/router/metrics.ts";
import { createMetricsRegistry } from "../../src/telemetry/metrics.ts";
import { CHART, findManifest, helm, renderChart, REQUIRED_VALUES, type Values } from "../support/helm.ts";
import { container, flags, podTemplate } from "./pods.ts";

/** Label names of every metric that operator and router have, by the metric's name. */
function labelsOfMetrics(): Map<string, ReadonlySet<string>> {
  const registry = createMetricsRegistry();
  createKubeMetrics(registry);
  createOperatorMetrics(registry, () => []);
  createUsageMetrics(registry, () => {});
  createEc2Metrics(registry);
  createRouterMetrics(registry);
  createAccessMetrics(registry);
  createWorkerMetrics(registry);
  const metrics = registry.getMetricsAsArray() as unknown as { name: string; labelNames?: string[] }[];
  return new Map(metrics.map(({ name, labelNames = [] }) => [name, new Set(labelNames)]));
}

/** Labels that Prometheus and the ServiceMonitor add. */
const ADDED_LABELS: ReadonlySet<string> = new Set(["namespace", "service", "pod", "program", "le"]);
const OURS = /\b(?:satellites|workqueue|rest_client|controller_runtime|leader_election|process|nodejs)_\w+/g;

interface Metric {
  readonly name: string;
  /** Labels by which it is selected. */
  readonly labels: readonly string[];
  /** Those by which the expression that it stands in is summed; where metrics are joined, one of them has each. */
  readonly by: readonly string[];
}

/** Metrics in a PromQL expression. Buckets belong to their histogram. */
function metricsIn(expression: string): Metric[] {
  const by = [...expression.matchAll(/ by \(([^)]*)\)/g)].flatMap(([, names = ""]) => names.split(/, */));
  return [...expression.matchAll(OURS)]
    .filter(({ index }) => !/[\w"]/.test(expression[index - 1] ?? ""))
    .map(({ 0: name, index }) => {
      const [, selector = ""] = /^\{([^}]*)\}/.exec(expression.slice(index + name.length)) ?? [];
      const labels = [...selector.matchAll(/(\w+)(?:=~|!~|!=|=)/g)].map(([, label = ""]) => label);
      return { name: name.replace(/_bucket$/, ""), labels, by };
    });
}

describe("the chart's monitoring", function () {
  this.timeout(60_000);
  const known = labelsOfMetrics();

  /** What expressions name that there is not. */
  const unknownIn = (expressions: readonly string[]): string[] =>
    expressions.map(metricsIn).flatMap((metrics) =>
      metrics.flatMap(({ name, labels, by }) => {
        const have = known.get(name);
        const isJoined = (label: string): boolean =>
          metrics.some((other) => known.get(other.name)?.has(label));
        return have === undefined
          ? [name]
          : [...labels.filter((label) => !have.has(label)), ...by.filter((label) => !isJoined(label))]
              .filter((label) => !ADDED_LABELS.has(label))
              .map((label) => `${name}{${label}}`);
      }),
    );

  it("is off unless asked for", async () => {
    const kinds = (await renderChart()).map(({ kind }) => kind);
    expect(kinds).to.include("Deployment");
    expect(kinds).to.not.include.oneOf(["ServiceMonitor", "PrometheusRule", "ConfigMap"]);
  });

  it("serves its page on the pod's loopback address, where it is asked for", async () => {
    const operatorFlags = async (values: Values): Promise<Record<string, string>> =>
      flags(container(podTemplate(await renderChart(values), "sat-satellites"), "operator"));
    expect(await operatorFlags({})).to.not.have.property("page-address");
    const page = { enabled: true, port: 9000 };
    expect(await operatorFlags({ operator: { page } })).to.include({ "page-address": "127.0.0.1:9000" });
    const { stdout } = await helm(["install", "sat", CHART, "--dry-run=client"], {
      values: { ...REQUIRED_VALUES, operator: { page } },
    });
    expect(stdout).to.contain("port-forward deployment/sat-satellites 9000");
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
    expect(expressions.flatMap(metricsIn)).to.have.length.greaterThan(4);
    expect(unknownIn(expressions)).to.deep.equal([]);
  });

  it("alerts for a satellite that never sleeps after so many days, or not at all", async () => {
    const expression = async (neverSleptDays?: number): Promise<string | undefined> => {
      const values = { enabled: true, ...(neverSleptDays === undefined ? {} : { neverSleptDays }) };
      const manifests = await renderChart({ prometheusRule: values });
      const { groups } = findManifest(manifests, "PrometheusRule", "sat-satellites")["spec"] as {
        groups: { rules: { alert: string; expr: string }[] }[];
      };
      const rules = groups.flatMap((group) => group.rules);
      return rules.find(({ alert }) => alert === "SatellitesNeverSlept")?.expr;
    };
    expect(await expression()).to.match(/^max by .*satellites_longest_awake_seconds.* > 7 \* 86400$/);
    expect(await expression(30)).to.match(/ > 30 \* 86400$/);
    expect(await expression(0)).to.equal(undefined);
  });

  it("draws metrics that exist", async () => {
    const manifests = await renderChart({ dashboard: { enabled: true } });
    const { data } = findManifest(manifests, "ConfigMap", "sat-satellites-dashboard") as unknown as {
      data: { "satellites.json": string };
    };
    const { panels } = JSON.parse(data["satellites.json"]) as { panels: { targets: { expr: string }[] }[] };
    const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(expressions.flatMap(metricsIn)).to.have.length.greaterThan(10);
    expect(unknownIn(expressions)).to.deep.equal([]);
  });

  it("would be found to name a metric or a label that is gone", () => {
    expect(
      unknownIn([
        "sum(rate(satellites_gone_total[5m]))",
        'sum by (reason) (satellites_phase{phase="Failed",zone="a"})',
        "histogram_quantile(0.9, sum by (le, kind) (rate(satellites_wake_seconds_bucket[5m])))",
      ]),
    ).to.deep.equal(["satellites_gone_total", "satellites_phase{zone}", "satellites_phase{reason}"]);
  });
});
