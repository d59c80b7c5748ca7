import { Counter, Histogram, type Registry } from "@prometheus-io/client";

/** What is counted of calls to EC2. */
export interface Ec2Metrics {
  /** By `action` and `outcome`: `ok` or the error code. */
  readonly calls: Counter<"action" | "outcome">;
  readonly durationSeconds: Histogram<"action">;
  /** Instances per request, of actions that are batched. */
  readonly batchSize: Histogram<"action">;
  /** Seconds that requests waited for a token of the client-side bucket. */
  readonly waitSeconds: Histogram<"action">;
}

/** The metrics of EC2 calls; one set per registry, which all clouds share. */
export function createEc2Metrics(registry: Registry): Ec2Metrics {
  const registers = [registry];
  return {
    calls: shared(
      registry,
      "satellites_ec2_calls_total",
      (name) =>
        new Counter({
          name,
          help: "Calls to EC2 by action and outcome (ok or the error code).",
          labelNames: ["action", "outcome"],
          registers,
        }),
    ),
    durationSeconds: histogram(
      registry,
      "satellites_ec2_call_duration_seconds",
      "Duration of calls to EC2.",
      [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    ),
    batchSize: histogram(
      registry,
      "satellites_ec2_batch_size",
      "Instances in one call to EC2.",
      [1, 2, 5, 10, 25, 50, 100, 250, 500],
    ),
    waitSeconds: histogram(
      registry,
      "satellites_ec2_throttle_wait_seconds",
      "Time that calls to EC2 waited for their turn under the account's request limits.",
      [0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300],
    ),
  };
}

function histogram(registry: Registry, name: string, help: string, buckets: number[]): Histogram<"action"> {
  const create = (): Histogram<"action"> =>
    new Histogram({ name, help, labelNames: ["action"], buckets, registers: [registry] });
  return shared(registry, name, create);
}

/** The metric of this name, which one cloud of the process has registered for all of them. */
function shared<Metric>(registry: Registry, name: string, create: (name: string) => Metric): Metric {
  return (registry.getSingleMetric(name) as Metric | undefined) ?? create(name);
}
