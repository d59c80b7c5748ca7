import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { freePort, startProcess, type TestProcess } from "../../test/support/process.ts";

const POLL_MS = 20;
/** Clock ticks in a second, as /proc counts CPU time (Linux `getconf CLK_TCK`). */
const TICKS_PER_SECOND = 100;

/** What a process has used so far. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly rssMiB: number;
  readonly peakRssMiB: number;
}

/** An operator under measurement. */
export class MeasuredOperator {
  readonly process: TestProcess;
  readonly #healthUrl: string;
  /** When it was started, in milliseconds of `performance.now()`. */
  readonly startedMs: number;

  private constructor(process: TestProcess, healthUrl: string, startedMs: number) {
    this.process = process;
    this.#healthUrl = healthUrl;
    this.startedMs = startedMs;
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
    return new MeasuredOperator(started, `http://${health}`, startedMs);
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
    return new Metrics(await (await fetch(`${this.#healthUrl}/metrics`)).text());
  }

  usage(): Usage {
    const { pid } = this.process;
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const kib = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
    // The program's name, in parentheses, may hold spaces; utime and stime are fields 14 and 15 (proc_pid_stat(5)).
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return {
      cpuSeconds: (Number(stat[11]) + Number(stat[12])) / TICKS_PER_SECOND,
      rssMiB: kib("VmRSS") / 1024,
      peakRssMiB: kib("VmHWM") / 1024,
    };
  }

  #seconds(): number {
    return (performance.now() - this.startedMs) / 1000;
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.#healthUrl}/readyz`)).ok;
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

/** A page of Prometheus text. */
export class Metrics {
  readonly #lines: readonly string[];

  constructor(text: string) {
    this.#lines = text.split("\n");
  }

  /**
   * Sum of all series of a metric.
   *
   * @param label of those that have this label alone, as in `phase="Running"`
   */
  sum(name: string, label?: string): number {
    const starts = label === undefined ? [`${name}{`, `${name} `] : [`${name}{${label}}`];
    return this.#lines
      .filter((line) => starts.some((start) => line.startsWith(start)))
      .reduce((total, line) => total + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
  }
}
