import { Counter, Gauge, Histogram, type Registry } from "@prometheus-io/client";
import type { Phase } from "../satellite/resource.ts";

const WAKE_SECONDS = [0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300];

/** The operator's own instruments (docs/operations.md). */
export interface OperatorMetrics {
  readonly byPhase: Gauge<"phase">;
  readonly actions: Counter<"action" | "outcome">;
  readonly wakes: Counter;
  readonly wakeSeconds: Histogram<"kind">;
  readonly failures: Counter<"reason">;
  readonly staleWrites: Counter;
  readonly orphans: Gauge;
  readonly orphanSteps: Counter<"step">;
  readonly recoverySteps: Counter<"class" | "step">;
}

/**
 * Creates the instruments in `registry`; once per registry.
 *
 * @param phases the phase of every known satellite, asked for at each scrape
 */
export function createOperatorMetrics(registry: Registry, phases: () => Iterable<Phase>): OperatorMetrics {
  const registers = [registry];
  const byPhase = new Gauge({
    name: "satellites_phase",
    help: "Satellites by phase.",
    labelNames: ["phase"],
    registers,
    collect() {
      const counts = new Map<Phase, number>();
      for (const phase of phases()) {
        counts.set(phase, (counts.get(phase) ?? 0) + 1);
      }
      this.reset();
      for (const [phase, count] of counts) {
        this.set({ phase }, count);
      }
    },
  });
  return {
    byPhase,
    actions: new Counter({
      name: "satellites_operator_actions_total",
      help: "Steps taken by the operator, by action and outcome.",
      labelNames: ["action", "outcome"],
      registers,
    }),
    wakes: new Counter({ name: "satellites_wakes_total", help: "Wakes that ended awake.", registers }),
    wakeSeconds: new Histogram({
      name: "satellites_wake_seconds",
      help: "Seconds from the intent to start until the port answered, by how the machine slept.",
      labelNames: ["kind"],
      buckets: WAKE_SECONDS,
      registers,
    }),
    failures: new Counter({
      name: "satellites_operator_failures_total",
      help: "Failed steps by reason.",
      labelNames: ["reason"],
      registers,
    }),
    orphans: new Gauge({
      name: "satellites_orphaned_machines",
      help: "Machines of this cluster that no satellite uses, as of the last list.",
      registers,
    }),
    orphanSteps: new Counter({
      name: "satellites_orphan_steps_total",
      help: "What was done to machines that no satellite uses, by step.",
      labelNames: ["step"],
      registers,
    }),
    recoverySteps: new Counter({
      name: "satellites_recovery_steps_total",
      help: "Steps taken against machines that run while their port is silent, by class and step.",
      labelNames: ["class", "step"],
      registers,
    }),
    staleWrites: new Counter({
      name: "satellites_operator_stale_writes_total",
      help: "Writes that the API server refused because the object had changed.",
      registers,
    }),
  };
}
