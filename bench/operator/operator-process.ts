import { setTimeout as delay } from "node:timers/promises";
import { freePort, startProcess, type TestProcess } from "../../test/support/process.ts";
import { type ContainerUsage, type Usage, usageOf } from "./process-usage.ts";

const POLL_MS = 20;
/** An operator's process, and how it is looked at. */
export interface OperatorProcess extends Pick<TestProcess, "pid" | "isRunning" | "logTail" | "stop"> {
  readonly healthUrl: string;
  /** When it was started, in milliseconds of `performance.now()`. */
  readonly startedMs: number;
  /** What became of the limits of the container that it is in. */
  readonly container?: () => Promise<ContainerUsage>;
}

/** An operator under measurement. */
export class MeasuredOperator {
  readonly process: OperatorProcess;

  constructor(process: OperatorProcess) {
    this.process = process;
  }

  /** @param args what runs: Node's own options, the program, and its command's options */
  static async start(args: readonly string[], logFile: string): Promise<MeasuredOperator> {
    const health = `127.0.0.1:${await freePort()}`;
    const startedMs = performance.now();
    const environment = { ...process.env, AWS_ACCESS_KEY_ID: "local", AWS_SECRET_ACCESS_KEY: "local" };
    const started = await startProcess(
      "operator",
      process.execPath,
      [...args, "--health-address", health],
      logFile,
      environment,
    );
    return new MeasuredOperator({ ...started, healthUrl: `http://${health}`, startedMs });
  }

  /** Seconds since its start at which its caches were filled. */
  async untilSynced(): Promise<number> {
    while (!(await this.#isReady())) {
      this.#expectRunning();
      await delay(POLL_MS);
    }
    return this.#seconds();
  }

  /** Seconds since its start at which it had reconciled so many times, and its queue was empty. */
  async untilReconciled(count: number): Promise<number> {
    for (;;) {
      this.#expectRunning();
      const metrics = await this.metrics();
      const seconds = this.#seconds();
      if (
        metrics.sum("controller_runtime_reconcile_total") >= count &&
        metrics.sum("workqueue_depth") === 0
      ) {
        return seconds;
      }
      await delay(POLL_MS * 5);
    }
  }

  /** Its metrics at this moment. */
  async metrics(): Promise<Metrics> {
    return new Metrics(await this.page());
  }

  /** The same as text. */
  async page(): Promise<string> {
    return (await fetch(`${this.process.healthUrl}/metrics`)).text();
  }

  usage(): Usage {
    return usageOf(this.process.pid);
  }

  #seconds(): number {
    return (performance.now() - this.process.startedMs) / 1000;
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.process.healthUrl}/readyz`)).ok;
    } catch {
      return false; // Not listening yet.
    }
  }

  #expectRunning(): void {
    if (!this.process.isRunning()) {
      throw new Error(`the operator ended; its last lines:\n${this.process.logTail()}`);
    }
  }
}

/** The operators that share a fleet, measured as one. */
export class MeasuredOperators {
  readonly all: readonly MeasuredOperator[];

  constructor(all: readonly MeasuredOperator[]) {
    this.all = all;
  }

  /** Seconds since the start at which the last one's caches were filled. */
  async untilSynced(): Promise<number> {
    return Math.max(...(await Promise.all(this.all.map((operator) => operator.untilSynced()))));
  }

  /** Seconds since the start at which the last one had reconciled its share of so many satellites, and its queue was empty. */
  async untilReconciled(count: number): Promise<number> {
    const share = Math.floor(count / this.all.length);
    return Math.max(...(await Promise.all(this.all.map((operator) => operator.untilReconciled(share)))));
  }

  /** The metrics of all at this moment. */
  async metrics(): Promise<Metrics> {
    const pages = await Promise.all(this.all.map((operator) => operator.page()));
    return new Metrics(pages.join("\n"));
  }

  /** CPU time of all together; memory of the largest. */
  usage(): Usage {
    const usages = this.all.map((operator) => operator.usage());
    return {
      cpuSeconds: usages.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
      rssMiB: Math.max(...usages.map(({ rssMiB }) => rssMiB)),
      peakRssMiB: Math.max(...usages.map(({ peakRssMiB }) => peakRssMiB)),
    };
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map(({ process }) => process.stop("SIGTERM")));
  }
}

/** A page of Prometheus text. */
export class Metrics {
  readonly #lines: readonly string[];

  constructor(text: string) {
    this.#lines = text.split("\n");
  }

  /**
   * Sum of all series of a metric.
   *
   * @param label of those that have this label, as in `phase="Running"`
   */
  sum(name: string, label = ""): number {
    const starts = [`${name}{`, `${name} `];
    return this.#lines
      .filter((line) => starts.some((start) => line.startsWith(start)) && line.includes(label))
      .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }
}
