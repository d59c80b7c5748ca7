import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { backoffMs } from "../base/backoff.ts";
import { sleep, type Clock, type Timer } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";

/** A program that is kept running. */
export interface ProgramOptions {
  readonly name: string;
  /** Arguments of the `satellites` command. */
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** File that its output is appended to. */
  readonly logFile: string;
  /** Resolves once the program can do its work; rejects or never resolves otherwise. */
  readonly ready: () => Promise<boolean>;
}

const RESTART = { baseMs: 200, maxMs: 10_000 };
const READY_POLL_MS = 50;
const READY_TIMEOUT_MS = 60_000;
/** A program that has run for longer than this had started well, so the pause after its end is short again. */
const STEADY_MS = 5000;
const STOP_TIMEOUT_MS = 35_000;

/** Keeps one program running: starts it again, with a growing pause, whenever it ends. */
export class Program {
  readonly name: string;
  readonly #options: ProgramOptions;
  readonly #entry: string;
  readonly #clock: Clock;
  readonly #onRestart: (name: string, why: string) => void;
  #child: ChildProcess | undefined;
  /** Descriptor of the log file, from the start to the stop. */
  #log: number | undefined;
  #restartTimer: Timer | undefined;
  #stopping = false;
  #failures = 0;

  /**
   * @param entry main.ts, or the bundle
   * @param onRestart told whenever the program ended without having been asked to
   */
  constructor(
    options: ProgramOptions,
    entry: string,
    clock: Clock,
    onRestart: (name: string, why: string) => void,
  ) {
    this.name = options.name;
    this.#options = options;
    this.#entry = entry;
    this.#clock = clock;
    this.#onRestart = onRestart;
  }

  /** The process's ID while it runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Starts the program and waits until it is ready.
   *
   * @throws SatelliteError `ProgramFailed` when it ends first, `ProgramNotReady` when it takes too long
   */
  async start(): Promise<void> {
    this.#log = openSync(this.#options.logFile, "a");
    this.#spawn();
    await this.#untilReady(() => {
      if (this.#failures > 0) {
        throw new SatelliteError(
          "ProgramFailed",
          `${this.name} ended at once: ${this.#lastWords()}; see ${this.#options.logFile}`,
        );
      }
    });
  }

  /**
   * Waits until the program is ready, after a restart too.
   *
   * @throws SatelliteError `ProgramNotReady` when it takes too long
   */
  ready(): Promise<void> {
    return this.#untilReady(() => {});
  }

  /**
   * Ends the program as a crash would, and waits until it is gone. It is then started again.
   *
   * @throws SatelliteError `NotRunning` when there is nothing to end
   */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) {
      throw new SatelliteError("NotRunning", `${this.name} does not run at the moment`);
    }
    const ended = exitOf(child);
    child.kill("SIGKILL");
    await ended;
  }

  /** Ends the program in order; by force when it takes too long. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#restartTimer?.cancel();
    const child = this.#child;
    if (child !== undefined) {
      const ended = exitOf(child);
      child.kill("SIGTERM");
      const force = this.#clock.setTimer(STOP_TIMEOUT_MS, () => child.kill("SIGKILL"));
      await ended;
      force.cancel();
    }
    if (this.#log !== undefined) {
      closeSync(this.#log);
      this.#log = undefined;
    }
  }

  async #untilReady(check: () => void): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + READY_TIMEOUT_MS;
    while (!(await this.#options.ready().catch(() => false))) {
      check();
      if (this.#clock.monotonicMs() > untilMs) {
        throw new SatelliteError(
          "ProgramNotReady",
          `${this.name} did not get ready within ${READY_TIMEOUT_MS / 1000} s; see ${this.#options.logFile}`,
        );
      }
      await sleep(this.#clock, READY_POLL_MS);
    }
  }

  /** The last line that the program wrote, which mostly says why it ended. */
  #lastWords(): string {
    const line = readFileSync(this.#options.logFile, "utf8").trimEnd().split("\n").at(-1) ?? "";
    try {
      const { message } = JSON.parse(line) as { readonly message?: string };
      return message ?? line;
    } catch {
      return line;
    }
  }

  #spawn(): void {
    const startedMs = this.#clock.monotonicMs();
    // Detached, so that Ctrl-C in a terminal reaches this process alone, which then ends its programs in
    // order. The channel tells them when this process has ended without doing that.
    const child = spawn(process.execPath, [this.#entry, ...this.#options.args], {
      env: { ...this.#options.environment },
      // The program itself writes to the file, so that it can log on when this process has ended.
      stdio: ["ignore", this.#log, this.#log, "ipc"],
      detached: true,
    });
    this.#child = child;
    child.once("error", (error) => {
      if (child.pid === undefined) {
        this.#child = undefined;
        this.#restart(toError(error).message, startedMs);
      }
    });
    child.once("exit", (code, signal) => {
      this.#child = undefined;
      if (!this.#stopping) {
        this.#restart(signal ?? `exit code ${code ?? "unknown"}`, startedMs);
      }
    });
  }

  #restart(why: string, startedMs: number): void {
    this.#failures = this.#clock.monotonicMs() - startedMs > STEADY_MS ? 1 : this.#failures + 1;
    this.#onRestart(this.name, why);
    const delayMs = backoffMs(this.#failures - 1, RESTART, () => 0);
    this.#restartTimer = this.#clock.setTimer(delayMs, () => this.#spawn());
  }
}

function exitOf(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => {
    child.once("exit", resolve);
  });
}
