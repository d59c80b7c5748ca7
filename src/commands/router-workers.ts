import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import { AggregatorRegistry } from "@prometheus-io/client";
import { untilAborted } from "../base/abort.ts";
import { backoffMs, type Random } from "../base/backoff.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { SatelliteError } from "../base/errors.ts";
import { createWorkerMetrics } from "../router/metrics.ts";
import { startHealthServer } from "../telemetry/health-server.ts";
import type { Logger } from "../telemetry/logger.ts";
import { createMetricsRegistry } from "../telemetry/metrics.ts";
import { parseAddress, type ProcessContext } from "./process-context.ts";
import { isMessage, REPORT_MS, STOP, type WorkerReport } from "./worker-link.ts";

/** Options of {@link runRouterWorkers}. */
export interface RouterWorkersOptions {
  readonly workers: number;
  readonly healthAddress: string;
}

/** A worker that has been silent for this time is not ready. */
const SILENT_MS = 5 * REPORT_MS;
/** A worker that has been silent for this time hangs, and is ended. */
const HANGING_MS = 30 * REPORT_MS;
const RESTART = { baseMs: 200, maxMs: 10_000 };

/**
 * Runs several routers as processes that share one port, until it is stopped. This process accepts the connections and
 * gives them to the workers in turn (node:cluster); each worker is a whole router with a key of its own. One that ends
 * is started again.
 *
 * @throws SatelliteError `RouterWorkerFailed` when one ends before any has listened, for example because a flag is wrong
 */
export async function runRouterWorkers(
  { workers: count, healthAddress }: RouterWorkersOptions,
  { clock, random, logger, stop, faults }: ProcessContext,
): Promise<void> {
  const registry = createMetricsRegistry();
  registry.setDefaultLabels({ worker: "0" });
  const { restarts } = createWorkerMetrics(registry);
  AggregatorRegistry.setRegistries([registry]);
  const all = new AggregatorRegistry();
  const failed = new AbortController();
  let hasListened = false;
  const workers = Array.from(
    { length: count },
    (_unused, index) =>
      new RouterWorker({
        number: index + 1,
        clock,
        random,
        logger,
        onListening: () => {
          hasListened = true;
        },
        onEnded: (worker, why) => {
          if (!hasListened) {
            failed.abort(failure(worker, why));
            return false;
          }
          restarts.inc();
          return true;
        },
      }),
  );
  const health = await startHealthServer({
    ...parseAddress(healthAddress),
    registry: { contentType: all.contentType, metrics: () => all.clusterMetrics() },
    healthy: () => true,
    ready: () =>
      !stop.aborted && workers.some((worker) => worker.isReady) && !workers.some((worker) => worker.isLame),
  });
  const fault = new AbortController();
  faults.follow({ end: () => fault.abort(), maxEndMs: HANGING_MS });
  try {
    for (const worker of workers) {
      worker.start();
    }
    await untilAborted(AbortSignal.any([stop, failed.signal, fault.signal]));
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
    await health.close();
  }
  if (failed.signal.aborted) {
    throw failed.signal.reason;
  }
}

function failure(worker: number, why: string): SatelliteError {
  return new SatelliteError(
    "RouterWorkerFailed",
    `router worker ${worker} ended before any listened (${why}); its own message above says why`,
  );
}

interface RouterWorkerOptions {
  /** From 1 on. */
  readonly number: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Called when it listens, after each start. */
  readonly onListening: () => void;
  /** Called when it has ended without having been told to; returns whether it is to be started again. */
  readonly onEnded: (number: number, why: string) => boolean;
}

/** One worker, and after its end the one that takes its place. */
class RouterWorker {
  readonly #options: RouterWorkerOptions;
  #process: Worker | undefined;
  #report: (WorkerReport & { readonly atMs: number }) | undefined;
  #restart: Timer | undefined;
  #watchdog: Timer | undefined;
  #failures = 0;
  #isStopping = false;

  constructor(options: RouterWorkerOptions) {
    this.#options = options;
  }

  /** Whether it takes connections and can serve them. */
  get isReady(): boolean {
    return this.#takes && this.#report?.isReady === true && this.#silentMs() < SILENT_MS;
  }

  /** Whether it is given connections that it cannot serve. */
  get isLame(): boolean {
    return this.#takes && !this.isReady;
  }

  get #takes(): boolean {
    return this.#report?.takesConnections === true;
  }

  start(): void {
    const { number } = this.#options;
    // Each worker gets the flags of this process, and its number.
    cluster.setupPrimary({ args: [...process.argv.slice(2), `--worker=${number}`] });
    const worker = cluster.fork();
    this.#process = worker;
    worker.on("message", (message: unknown) => this.#onMessage(message));
    worker.once("exit", (code: number | null, signal: string | null) => {
      this.#onExit(signal ?? `exit code ${code ?? "unknown"}`);
    });
  }

  /** Ends it in order; resolves when it has ended. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#restart?.cancel();
    const worker = this.#process;
    if (worker !== undefined) {
      const ended = once(worker, "exit");
      worker.send(STOP);
      await ended;
    }
  }

  #onMessage(message: unknown): void {
    if (!isMessage(message, "report")) {
      return;
    }
    const { clock, onListening } = this.#options;
    if (this.#report === undefined) {
      onListening();
      this.#watch();
    }
    this.#report = { ...(message as WorkerReport), atMs: clock.monotonicMs() };
  }

  #silentMs(): number {
    return this.#options.clock.monotonicMs() - (this.#report?.atMs ?? 0);
  }

  /** Ends a worker that hangs, so that another comes in its place. */
  #watch(): void {
    const { clock, logger, number } = this.#options;
    this.#watchdog = clock.setTimer(HANGING_MS, () => {
      if (this.#silentMs() >= HANGING_MS) {
        logger.error("a router worker hangs and is ended", { worker: number });
        this.#process?.process.kill("SIGKILL");
      } else {
        this.#watch();
      }
    });
  }

  #onExit(why: string): void {
    const { number, clock, random, logger, onEnded } = this.#options;
    this.#watchdog?.cancel();
    this.#process = undefined;
    this.#failures = this.#report === undefined ? this.#failures + 1 : 0;
    this.#report = undefined;
    if (this.#isStopping || !onEnded(number, why)) {
      return;
    }
    const delayMs = backoffMs(this.#failures, RESTART, random);
    logger.warn("a router worker ended and is started again", { worker: number, why, delayMs });
    this.#restart = clock.setTimer(delayMs, () => this.start());
  }
}
