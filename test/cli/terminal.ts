import { PassThrough } from "node:stream";
import { Command } from "commander";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { kubectlArguments } from "../../src/cli/arguments.ts";
import { addCommands } from "../../src/cli/command-line.ts";
import type { CliContext, Output } from "../../src/cli/context.ts";

/** What a command came to. */
export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** How a {@link Terminal} differs from a pipe. */
export interface TerminalOptions {
  readonly environment: Readonly<Record<string, string>>;
  readonly isTTY?: boolean;
  /** Default: the machine's. */
  readonly clock?: Clock;
}

/** A command under way. */
export interface RunningCommand {
  readonly ended: Promise<Outcome>;
  /** What it has written so far. */
  readonly out: () => string;
  readonly err: () => string;
  /** SIGINT. */
  stop(): void;
}

/** Runs commands in this process, as a person at a terminal or a pipe would. */
export class Terminal {
  readonly #options: TerminalOptions;

  constructor(options: TerminalOptions) {
    this.#options = options;
  }

  /** Runs a command to its end. */
  run(...args: string[]): Promise<Outcome> {
    return this.start(...args).ended;
  }

  start(...args: string[]): RunningCommand {
    const texts = { out: "", err: "" };
    const isTTY = this.#options.isTTY ?? false;
    const output = (name: "out" | "err"): Output => ({
      isTTY,
      columns: 120,
      write: (text) => {
        texts[name] += typeof text === "string" ? text : Buffer.from(text).toString();
      },
    });
    const stopping = new AbortController();
    let code = 0;
    const stdin = new PassThrough();
    stdin.end("from standard input");
    const context: CliContext = {
      environment: this.#options.environment,
      clock: this.#options.clock ?? systemClock,
      random: Math.random,
      out: output("out"),
      err: output("err"),
      stdin,
      setExitCode: (status) => {
        code = status;
      },
      stop: stopping.signal,
    };
    const program = new Command("kubectl-satellite").exitOverride().configureOutput({
      writeOut: (text) => context.out.write(text),
      writeErr: (text) => context.err.write(text),
    });
    addCommands(program, () => context);
    const ended = program
      .parseAsync(kubectlArguments(args), { from: "user" })
      .then(() => ({ code, ...texts }));
    return { ended, out: () => texts.out, err: () => texts.err, stop: () => stopping.abort() };
  }
}
