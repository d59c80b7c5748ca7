import { Counter, Gauge, Histogram, type Registry } from "@prometheus-io/client";

/** Seconds, from a warm path to a cold launch. */
const WAKE_BUCKETS = [0.005, 0.05, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600, 1200];

/**
 * What every request counts. The library looks labels up and checks arguments each time, which costs a request as much as
 * the gate does; so the counts are kept here, and the library is told them when it is asked for its own.
 */
export class RequestCounts {
  /** Streams admitted and not ended. */
  #open = 0;
  /** Requests ended that the library has not heard of, by code. */
  readonly #ended = new Map<string, number>();

  get open(): number {
    return this.#open;
  }

  streamOpened(): void {
    this.#open += 1;
  }

  streamClosed(): void {
    this.#open -= 1;
  }

  requestEnded(code: string): void {
    this.#ended.set(code, (this.#ended.get(code) ?? 0) + 1);
  }

  /** Requests that ended since the last call, by code. */
  takeEnded(): [code: string, count: number][] {
    const ended = [...this.#ended];
    this.#ended.clear();
    return ended;
  }
}

/** The router's metrics. No label names a satellite: there may be tens of thousands. */
export interface RouterMetrics {
  readonly heldRequests: Gauge;
  readonly wakes: Counter;
  readonly wakeSeconds: Histogram;
  readonly requests: RequestCounts;
  readonly leaseWrites: Counter<"result">;
  readonly uncaughtErrors: Counter<"ended">;
}

/** Creates the metrics in `registry`. */
export function createRouterMetrics(registry: Registry): RouterMetrics {
  const registers = [registry];
  const requests = new RequestCounts();
  void new Gauge({
    name: "satellites_router_streams_open",
    help: "Streams admitted and not ended.",
    registers,
    collect() {
      this.set(requests.open);
    },
  });
  void new Counter({
    name: "satellites_router_requests_total",
    help:
      "Requests ended, by gRPC status where the router answered itself; PASSED where the VM did, CANCELLED where " +
      "the client gave up.",
    labelNames: ["code"],
    registers,
    collect() {
      for (const [code, count] of requests.takeEnded()) {
        this.inc({ code }, count);
      }
    },
  });
  const metrics: RouterMetrics = {
    requests,
    heldRequests: new Gauge({
      name: "satellites_router_held_requests",
      help: "Requests held until their satellite is awake.",
      registers,
    }),
    wakes: new Counter({
      name: "satellites_router_wakes_total",
      help: "Wakes that this router wrote; those that another router wrote first included.",
      registers,
    }),
    wakeSeconds: new Histogram({
      name: "satellites_router_wake_seconds",
      help: "Seconds from the first request held for a satellite that was not awake to its release.",
      buckets: WAKE_BUCKETS,
      registers,
    }),
    leaseWrites: new Counter({
      name: "satellites_router_lease_writes_total",
      help: "Writes of this router's lease, by result: ok, refused (the satellite moved), failed (no answer).",
      labelNames: ["result"],
      registers,
    }),
    uncaughtErrors: new Counter({
      name: "satellites_router_uncaught_errors_total",
      help: "Errors that nobody caught, which are bugs, by what was ended for them: a connection, or the router.",
      labelNames: ["ended"],
      registers,
    }),
  };
  // There at 0 before anything happens: `rate` and `increase` do not see the first of a series that begins with it.
  for (const result of ["ok", "refused", "failed"]) {
    metrics.leaseWrites.inc({ result }, 0);
  }
  for (const ended of ["connection", "router"]) {
    metrics.uncaughtErrors.inc({ ended }, 0);
  }
  return metrics;
}

/** Metrics of access checks. */
export interface AccessMetrics {
  readonly reviews: Counter<"review" | "result">;
}

/** Creates the metrics of access checks in `registry`. */
export function createAccessMetrics(registry: Registry): AccessMetrics {
  return {
    reviews: new Counter({
      name: "satellites_router_access_reviews_total",
      help:
        "Access checks that were not answered from memory: token (known, rejected, failed), oidc (known, refused, " +
        "failed) and access (allowed, denied, failed).",
      labelNames: ["review", "result"],
      registers: [registry],
    }),
  };
}

/** Metrics of the parent of several workers. */
export interface WorkerMetrics {
  readonly restarts: Counter;
}

/** Creates the metrics of the parent of several workers in `registry`. */
export function createWorkerMetrics(registry: Registry): WorkerMetrics {
  return {
    restarts: new Counter({
      name: "satellites_router_worker_restarts_total",
      help: "Workers that ended without having been told to, and were started again (--workers).",
      registers: [registry],
    }),
  };
}
