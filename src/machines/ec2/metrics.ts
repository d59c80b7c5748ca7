import { Counter, Histogram, type Registry } from "prom-client";

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

/** Registers the metrics of one cloud. */
export function createEc2Metrics(registry: Registry): Ec2Metrics {
  const registers = [registry];
  return {
    calls: new Counter({
      name: "satellites_ec2_calls_total",
      help: "Calls to EC2 by action and outcome (ok or the error code).",
      labelNames: ["action", "outcome"],
      registers,
    }),
    durationSeconds: new Histogram({
      name: "satellites_ec2_call_duration_seconds",
      help: "Duration of calls to EC2.",
      labelNames: ["action"],
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    }),
    batchSize: new Histogram({
      name: "satellites_ec2_batch_size",
      help: "Instances in one call to EC2.",
      labelNames: ["action"],
      buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500],
      registers,
    }),
    waitSeconds: new Histogram({
      name: "satellites_ec2_throttle_wait_seconds",
      help: "Time that calls to EC2 waited for their turn under the account's request limits.",
      labelNames: ["action"],
      buckets: [0.001, 0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300],
      registers,
    }),
  };
}
