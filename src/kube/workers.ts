import type { Clock } from "../base/clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { KubeMetrics } from "./metrics.ts";
import type { WorkQueue } from "./work-queue.ts";

/** The result of the work on one key, when it did not throw. */
export interface WorkResult {
  /** Milliseconds after which the key is worked on again, whatever happens meanwhile. */
  readonly requeueAfterMs?: number;
}

/** What {@link runWorkers} takes beside the queue. */
export interface WorkersOptions {
  /** At most so many keys are worked on at the same time. */
  readonly concurrency: number;
  /** Does the work for a key. When it throws, the key is added again after its back-off. */
  readonly handler: (key: string) => Promise<WorkResult | undefined>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: KubeMetrics;
}

/** What the work on a key came to, as controller-runtime names it. */
const RESULTS = ["success", "requeue_after", "error"] as const;

async function workOn(queue: WorkQueue, key: string, options: WorkersOptions): Promise<void> {
  const { clock, logger, metrics } = options;
  const controller = queue.name;
  const startMs = clock.monotonicMs();
  const finished = (result: (typeof RESULTS)[number]): void => {
    metrics.reconciles.inc({ controller, result });
    metrics.reconcileSeconds.observe({ controller }, (clock.monotonicMs() - startMs) / 1000);
  };
  try {
    const result = await options.handler(key);
    queue.forget(key);
    if (result?.requeueAfterMs === undefined) {
      finished("success");
    } else {
      queue.addAfter(key, result.requeueAfterMs);
      finished("requeue_after");
    }
  } catch (error) {
    metrics.reconcileErrors.inc({ controller });
    finished("error");
    logger.error("Reconciler error", { controller, key, failures: queue.failures(key) + 1, error });
    queue.addRateLimited(key);
  }
}

async function work(queue: WorkQueue, options: WorkersOptions): Promise<void> {
  for (let key = await queue.get(); key !== undefined; key = await queue.get()) {
    options.metrics.activeWorkers.inc({ controller: queue.name });
    try {
      await workOn(queue, key, options);
    } finally {
      queue.done(key);
      options.metrics.activeWorkers.dec({ controller: queue.name });
    }
  }
}

/**
 * Works through a queue, with controller-runtime's metrics. The queue's name is the `controller` label.
 *
 * @returns resolves when the queue is shut down, nothing waits in it and every worker has finished
 */
export async function runWorkers(queue: WorkQueue, options: WorkersOptions): Promise<void> {
  const { metrics } = options;
  const controller = queue.name;
  metrics.maxConcurrentReconciles.set({ controller }, options.concurrency);
  metrics.activeWorkers.set({ controller }, 0);
  metrics.reconcileErrors.inc({ controller }, 0);
  for (const result of RESULTS) {
    metrics.reconciles.inc({ controller, result }, 0);
  }
  await Promise.all(Array.from({ length: options.concurrency }, () => work(queue, options)));
}
