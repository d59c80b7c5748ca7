import { Counter, Gauge, Histogram, type Registry } from "@prometheus-io/client";

/** Buckets of client-go's request durations, in seconds (component-base, restclient metrics). */
const REQUEST_SECONDS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];
/** Buckets of client-go's work queue durations, in seconds: powers of ten from 10 ns on, as far as they matter here. */
const QUEUE_SECONDS = [0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300];
/** Some of the buckets of controller-runtime's reconcile durations, in seconds. */
const RECONCILE_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** A queue, as far as its gauges read it at a scrape. */
export interface QueueObservation {
  readonly name: string;
  /** For each key that is being worked on, since how many seconds. */
  workingSeconds(): number[];
}

/**
 * The instruments of this room, named and labelled as client-go and controller-runtime name theirs, so that dashboards
 * and alerts made for those fit.
 */
export interface KubeMetrics {
  readonly requests: Counter<"code" | "method" | "host">;
  readonly requestSeconds: Histogram<"verb" | "host">;
  readonly queueDepth: Gauge<"name">;
  readonly queueAdds: Counter<"name">;
  readonly queueSeconds: Histogram<"name">;
  readonly workSeconds: Histogram<"name">;
  readonly queueRetries: Counter<"name">;
  readonly reconciles: Counter<"controller" | "result">;
  readonly reconcileErrors: Counter<"controller">;
  readonly reconcileSeconds: Histogram<"controller">;
  readonly maxConcurrentReconciles: Gauge<"controller">;
  readonly activeWorkers: Gauge<"controller">;
  readonly leaderStatus: Gauge<"name">;
  /** Adds a queue to the gauges of unfinished work. */
  observeQueue(queue: QueueObservation): void;
}

function unfinishedWork(registry: Registry, queues: readonly QueueObservation[]): void {
  const gauge = (name: string, help: string, value: (seconds: number[]) => number): Gauge<"name"> =>
    new Gauge({
      name,
      help,
      labelNames: ["name"],
      registers: [registry],
      collect() {
        for (const queue of queues) {
          this.set({ name: queue.name }, value(queue.workingSeconds()));
        }
      },
    });
  gauge(
    "workqueue_unfinished_work_seconds",
    "Seconds of work in progress that is not yet observed by work_duration.",
    (seconds) => seconds.reduce((sum, each) => sum + each, 0),
  );
  gauge(
    "workqueue_longest_running_processor_seconds",
    "Seconds that the longest running worker has been at its key.",
    (seconds) => Math.max(0, ...seconds),
  );
}

/**
 * Creates the instruments in `registry`; once per registry.
 *
 * @throws Error when the registry holds them already
 */
export function createKubeMetrics(registry: Registry): KubeMetrics {
  const registers = [registry];
  const queues: QueueObservation[] = [];
  unfinishedWork(registry, queues);
  const counter = <L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> =>
    new Counter({ name, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> =>
    new Gauge({ name, help, labelNames, registers });
  const histogram = <L extends string>(
    name: string,
    help: string,
    buckets: number[],
    ...labelNames: L[]
  ): Histogram<L> => new Histogram({ name, help, buckets, labelNames, registers });

  return {
    requests: counter(
      "rest_client_requests_total",
      "Requests to the API server; code <error> when no answer came.",
      "code",
      "method",
      "host",
    ),
    requestSeconds: histogram(
      "rest_client_request_duration_seconds",
      "Seconds from a request to the head of its answer.",
      REQUEST_SECONDS,
      "verb",
      "host",
    ),
    queueDepth: gauge("workqueue_depth", "Keys waiting in the queue.", "name"),
    queueAdds: counter("workqueue_adds_total", "Keys added to the queue.", "name"),
    queueSeconds: histogram(
      "workqueue_queue_duration_seconds",
      "Seconds a key waited before a worker took it.",
      QUEUE_SECONDS,
      "name",
    ),
    workSeconds: histogram(
      "workqueue_work_duration_seconds",
      "Seconds a worker took for a key.",
      QUEUE_SECONDS,
      "name",
    ),
    queueRetries: counter("workqueue_retries_total", "Keys added again after a failure.", "name"),
    reconciles: counter(
      "controller_runtime_reconcile_total",
      "Reconciliations by result.",
      "controller",
      "result",
    ),
    reconcileErrors: counter(
      "controller_runtime_reconcile_errors_total",
      "Reconciliations that failed.",
      "controller",
    ),
    reconcileSeconds: histogram(
      "controller_runtime_reconcile_time_seconds",
      "Seconds per reconciliation.",
      RECONCILE_SECONDS,
      "controller",
    ),
    maxConcurrentReconciles: gauge(
      "controller_runtime_max_concurrent_reconciles",
      "Workers of the controller.",
      "controller",
    ),
    activeWorkers: gauge(
      "controller_runtime_active_workers",
      "Workers of the controller that are at a key.",
      "controller",
    ),
    leaderStatus: gauge("leader_election_master_status", "1 while this process leads, else 0.", "name"),
    observeQueue: (queue) => void queues.push(queue),
  };
}
