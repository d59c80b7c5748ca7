import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream, type WriteStream } from "node:fs";
import { backoffMs } from "../base/backoff.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { SatelliteError } from "../base/errors.ts";

/** A program that a {@link Supervisor} keeps running. */
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
/** A program that ran for so long before it ended starts over with the shortest pause. */
const STEADY_MS = 30_000;
const STOP_TIMEOUT_MS = 35_000;

/** Keeps one program running: starts it again, with a growing pause, whenever it ends. */
export class Program {
  readonly name: string;
  readonly #options: ProgramOptions;
  readonly #entry: string;
  readonly #clock: Clock;
  readonly #onRestart: (name: string, why: string) => void;
  #child: ChildProcess | undefined;
  #log: WriteStream | undefined;
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
    this.#log = createWriteStream(this.#options.logFile, { flags: "a" });
    this.#spawn();
    await this.ready();
  }

  /** Waits until the program is ready, after a restart too. */
  async ready(): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + READY_TIMEOUT_MS;
    while (!(await this.#options.ready().catch(() => false))) {
      if (this.#failures > 0 && this.#child === undefined) {
        throw new SatelliteError("ProgramFailed", `${this.name} ended at once; see ${this.#options.logFile}`);
      }
      if (this.#clock.monotonicMs() > untilMs) {
        throw new SatelliteError(
          "ProgramNotReady",
          `${this.name} did not get ready; see ${this.#options.logFile}`,
        );
      }
      await new Promise<void>((resolve) => {
        this.#clock.setTimer(READY_POLL_MS, resolve);
      });
    }
  }

  /** Ends the program in order; by force when it takes too long. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#restartTimer?.cancel();
    const child = this.#child;
    if (child !== undefined) {
      const ended = new Promise((resolve) => {
        child.once("exit", resolve);
      });
      child.kill("SIGTERM");
      const force = this.#clock.setTimer(STOP_TIMEOUT_MS, () => child.kill("SIGKILL"));
      await ended;
      force.cancel();
    }
    this.#log?.end();
  }

  #spawn(): void {
    const startedMs = this.#clock.monotonicMs();
    const child = spawn(process.execPath, [this.#entry, ...this.#options.args], {
      env: { ...this.#options.environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    if (this.#log !== undefined) {
      child.stdout.pipe(this.#log, { end: false });
      child.stderr.pipe(this.#log, { end: false });
    }
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
