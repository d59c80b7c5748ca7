import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import { prometheus, usageWithin } from "../../../src/cli/savings/prometheus.ts";
import { createUsageMetrics } from "../../../src/operator/usage-metrics.ts";
import type { HttpRequest } from "../../../src/kube/transport.ts";

const DAY = 86_400;

describe("what was saved within a time, as a Prometheus knows it", () => {
  let asked: string[];

  /** Answers as Prometheus does (its documentation, "HTTP API"), by the metric that is asked about. */
  const answers: Readonly<Record<string, readonly object[]>> = {
    satellites_state_seconds_total: [
      { metric: { class: "default", state: "awake" }, value: [1, "7200"] },
      { metric: { class: "default", state: "asleep" }, value: [1, "36000.5"] },
      { metric: { class: "large", state: "asleep" }, value: [1, "3600"] },
    ],
    satellites_starts_total: [{ metric: { class: "default" }, value: [1, "3.0004"] }],
    satellites_cost_total: [{ metric: { class: "default", currency: "EUR" }, value: [1, "1.5"] }],
    satellites_saved_total: [{ metric: { class: "default", currency: "EUR" }, value: [1, "7.5"] }],
  };
  const ask = async (query: string): ReturnType<ReturnType<typeof prometheus>> => {
    asked.push(query);
    const metric = /increase\((\w+)/.exec(query)?.[1] ?? "";
    return answers[metric] as Awaited<ReturnType<ReturnType<typeof prometheus>>>;
  };

  beforeEach(() => {
    asked = [];
  });

  it("comes by class, those that saved most first", async () => {
    expect(await usageWithin(30 * DAY, "class", "team-a", ask)).to.deep.equal([
      {
        name: "default",
        awakeHours: 2,
        asleepHours: 36_000.5 / 3600,
        wakes: 3,
        paid: { currency: "EUR", amount: 1.5 },
        saved: { currency: "EUR", amount: 7.5 },
      },
      { name: "large", awakeHours: 0, asleepHours: 1, wakes: 0, paid: undefined, saved: undefined },
    ]);
    expect(asked[0]).to.equal(
      `sum by (class, state) (increase(satellites_state_seconds_total{satellite_namespace="team-a"}[${30 * DAY}s]))`,
    );
  });

  it("asks for metrics and labels that the operator has", async () => {
    const registry = new Registry();
    createUsageMetrics(registry, () => {});
    const labels = new Map(
      registry
        .getMetricsAsArray()
        .map((metric) => [metric.name, Reflect.get(metric, "labelNames") as string[]]),
    );
    await usageWithin(DAY, "namespace", undefined, ask);
    expect(asked).to.have.length(4);
    for (const query of asked) {
      const [, by = "", metric = "", selector = ""] =
        /sum by \((.*?)\) \(increase\((\w+)(?:\{(.*?)\})?/.exec(query) ?? [];
      const used = [...by.split(", "), ...selector.split(",").map((each) => each.split("=")[0] ?? "")];
      expect(labels.get(metric), query).to.include.members(used.filter((name) => name !== ""));
    }
  });

  it("is asked through the API server where a Service is named", async () => {
    let path = "";
    const call = async (request: HttpRequest): Promise<unknown> => {
      path = request.path;
      return { status: "success", data: { result: [] } };
    };
    expect(await prometheus("monitoring/prometheus:9090", { call })("up")).to.deep.equal([]);
    expect(path).to.equal(
      "/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/query?query=up",
    );
  });

  it("says how it is named where it does not answer, or somebody else does", async () => {
    const call = async (): Promise<unknown> => ({ status: "error", error: "too many samples" });
    expect(await prometheus("a/b:1", { call })("up").catch(String)).to.match(
      /too many samples.*NAMESPACE\/SERVICE:PORT/,
    );
    expect(await prometheus("http://127.0.0.1:1", { call })("up").catch(String)).to.contain(
      "cannot be asked",
    );
  });
});
