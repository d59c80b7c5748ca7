import type { Clock } from "../base/clock.ts";
import type { Random } from "../base/backoff.ts";

/** Where a command writes; `process.stdout` is one. */
export interface Output {
  write(text: string | Uint8Array): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** What a command gets from the entry of the program: the only place that reads the environment. */
export interface CliContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  /** Results. */
  readonly out: Output;
  /** Progress, warnings and errors, so that results can be piped. */
  readonly err: Output;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  /** Exit status of the process at its end. */
  setExitCode(code: number): void;
  /** Aborts at SIGINT and SIGTERM. */
  readonly stop: AbortSignal;
}
