import { expect } from "chai";
import { register } from "@prometheus-io/client";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { createMetricsRegistry } from "../../src/telemetry/metrics.ts";

describe("createMetricsRegistry", () => {
  it("holds the process's own metrics, twice in one process and not in the global registry", async () => {
    for (const registry of [createMetricsRegistry(), createMetricsRegistry()]) {
      createKubeMetrics(registry);
      const text = await registry.metrics();
      expect(text).to.match(/^process_resident_memory_bytes \d+/m);
      expect(text).to.match(/^nodejs_eventloop_lag_seconds /m);
      expect(text).to.contain("# TYPE workqueue_depth gauge");
    }
    expect(await register.metrics()).to.equal("\n");
  });
});
