import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { runWorkers, type WorkersOptions } from "../../src/kube/workers.ts";
import { WorkQueue } from "../../src/kube/work-queue.ts";
import { CollectingLogger } from "../support/collecting-logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

describe("runWorkers", () => {
  const clock = new VirtualClock();

  function start(concurrency: number, handler: WorkersOptions["handler"]) {
    const registry = new Registry();
    const metrics = createKubeMetrics(registry);
    const logger = new CollectingLogger();
    const queue = new WorkQueue({ name: "satellite", clock, random: () => 0, metrics });
    const finished = runWorkers(queue, { concurrency, handler, clock, logger, metrics });
    return { queue, finished, registry, logger };
  }

  it("counts errors and results from 0 on, so that a rate sees the first one", async () => {
    const { queue, finished, registry } = start(1, () => Promise.resolve(undefined));
    const text = await registry.metrics();
    expect(text).to.contain('controller_runtime_reconcile_errors_total{controller="satellite"} 0');
    for (const result of ["success", "requeue_after", "error"]) {
      expect(text).to.contain(
        `controller_runtime_reconcile_total{controller="satellite",result="${result}"} 0`,
      );
    }
    queue.shutDown();
    await finished;
  });

  it("works on as many keys at once as it may, and never twice on one", async () => {
    const gates = new Map<string, () => void>();
    const { queue, finished, registry } = start(2, async (key) => {
      expect(gates.has(key)).to.equal(false);
      await new Promise<void>((resolve) => {
        gates.set(key, resolve);
      });
      gates.delete(key);
      return undefined;
    });
    for (const key of ["a", "b", "c", "a"]) {
      queue.add(key);
    }
    await clock.settle();
    queue.add("a");
    expect([...gates.keys()]).to.deep.equal(["a", "b"]);
    expect(await registry.metrics()).to.contain(
      'controller_runtime_active_workers{controller="satellite"} 2',
    );
    gates.get("a")?.();
    await clock.settle();
    expect([...gates.keys()]).to.deep.equal(["b", "c"]);
    gates.get("b")?.();
    await clock.settle();
    expect([...gates.keys()]).to.deep.equal(["c", "a"]);
    queue.shutDown();
    gates.get("a")?.();
    gates.get("c")?.();
    await finished;
    expect(await registry.metrics()).to.contain(
      'controller_runtime_active_workers{controller="satellite"} 0',
    );
  });

  it("asks again after the time that the handler names", async () => {
    const times: number[] = [];
    const startMs = clock.monotonicMs();
    const { queue, finished, registry } = start(1, async () => {
      times.push(clock.monotonicMs() - startMs);
      return times.length < 3 ? { requeueAfterMs: 1_000 } : undefined;
    });
    queue.add("a");
    await clock.advance(10_000);
    expect(times).to.deep.equal([0, 1_000, 2_000]);
    queue.shutDown();
    await finished;
    const text = await registry.metrics();
    expect(text).to.contain(
      'controller_runtime_reconcile_total{controller="satellite",result="requeue_after"} 2',
    );
    expect(text).to.contain('controller_runtime_reconcile_total{controller="satellite",result="success"} 1');
    expect(text).to.contain('controller_runtime_max_concurrent_reconciles{controller="satellite"} 1');
  });

  it("logs a failure and backs off until the work succeeds", async () => {
    const times: number[] = [];
    const startMs = clock.monotonicMs();
    const { queue, finished, registry, logger } = start(1, async () => {
      times.push(clock.monotonicMs() - startMs);
      if (times.length < 4) {
        throw new Error("not yet");
      }
      return undefined;
    });
    queue.add("a");
    await clock.advance(1_000);
    expect(times).to.deep.equal([0, 5, 15, 35]);
    expect(queue.failures("a")).to.equal(0);
    expect(logger.lines.map(({ level, fields }) => [level, fields["key"], fields["failures"]])).to.deep.equal(
      [
        ["error", "a", 1],
        ["error", "a", 2],
        ["error", "a", 3],
      ],
    );
    queue.shutDown();
    await finished;
    const text = await registry.metrics();
    expect(text).to.contain('controller_runtime_reconcile_errors_total{controller="satellite"} 3');
    expect(text).to.contain('controller_runtime_reconcile_total{controller="satellite",result="error"} 3');
    expect(text).to.contain('controller_runtime_reconcile_time_seconds_count{controller="satellite"} 4');
  });
});
