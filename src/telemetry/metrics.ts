import { collectDefaultMetrics, Registry } from "@prometheus-io/client";

/**
 * Creates the process's metrics registry, holding the client library's process metrics (CPU, memory, event loop,
 * garbage collection, open file descriptors) under their usual names. Its global registry stays
 * unused, so that two instances of the product in one process do not mix their figures.
 */
export function createMetricsRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}
