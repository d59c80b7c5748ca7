import { Counter, Gauge, type Registry } from "@prometheus-io/client";

/**
 * Labels by namespace and class. The first is not called `namespace`, since Prometheus sets that label to the operator's own.
 */
export interface UsageLabels {
  readonly satellite_namespace: string;
  readonly class: string;
}

type Labels = keyof UsageLabels;

/** What satellites did and cost, by namespace and class. */
export interface UsageMetrics {
  readonly seconds: Counter<Labels | "state">;
  readonly starts: Counter<Labels>;
  readonly cost: Counter<Labels | "currency" | "part">;
  readonly saved: Counter<Labels | "currency">;
  readonly unpricedSeconds: Counter<Labels>;
  readonly longestAwake: Gauge<Labels>;
  readonly fullestCache: Gauge<Labels>;
}

/**
 * Creates the instruments in `registry`; once per registry.
 *
 * @param beforeScrape brings them up to date
 */
export function createUsageMetrics(registry: Registry, beforeScrape: () => void): UsageMetrics {
  const common = { registers: [registry] };
  const labelNames: Labels[] = ["satellite_namespace", "class"];
  return {
    seconds: new Counter({
      ...common,
      // A registry collects metrics in the order of their creation: this first one brings all of them up to date.
      collect: beforeScrape,
      name: "satellites_state_seconds_total",
      help: "Seconds that machines of satellites ran (awake), or were stopped or hibernated (asleep).",
      labelNames: [...labelNames, "state"],
    }),
    starts: new Counter({
      ...common,
      name: "satellites_starts_total",
      help: "Stretches of being awake that began: wakes, and first starts.",
      labelNames,
    }),
    cost: new Counter({
      ...common,
      name: "satellites_cost_total",
      help: "Money by the prices of the class: machines while they run, storage while there is some.",
      labelNames: [...labelNames, "currency", "part"],
    }),
    saved: new Counter({
      ...common,
      name: "satellites_saved_total",
      help: "Money that machines would have cost if they had run while they slept, by the prices of the class.",
      labelNames: [...labelNames, "currency"],
    }),
    unpricedSeconds: new Counter({
      ...common,
      name: "satellites_unpriced_seconds_total",
      help: "Seconds awake of machine types for which the class has no price: satellites_cost_total lacks them.",
      labelNames,
    }),
    longestAwake: new Gauge({
      ...common,
      name: "satellites_longest_awake_seconds",
      help: "How long the satellite that has been awake for longest has been so; without those that are never to sleep.",
      labelNames,
    }),
    fullestCache: new Gauge({
      ...common,
      name: "satellites_buildkit_cache_ratio",
      help: "Fullest cache of a BuildKit satellite as last measured, as a share of what it may take before the oldest is collected.",
      labelNames,
    }),
  };
}
