import { systemClock, type Clock } from "../base/clock.ts";
import type { Random } from "../base/backoff.ts";
import { SatelliteError } from "../base/errors.ts";
import { createLogger, type Logger, type LoggerOptions } from "../telemetry/logger.ts";
import { ProcessFaults } from "./process-faults.ts";

/** What every command gets from main.ts: the only place that reads the environment. */
export interface ProcessContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Aborts at SIGTERM or SIGINT, and when the supervisor is gone; the command then stops in order. */
  readonly stop: AbortSignal;
  /** Errors that nobody caught. */
  readonly faults: ProcessFaults;
}

/** Options that every long-running command takes. */
export interface CommonOptions {
  readonly logLevel: LoggerOptions["level"];
  readonly logFormat: LoggerOptions["format"];
}

/**
 * The context of this process. `stop` aborts at the first SIGTERM or SIGINT. A program of `satellites local` also
 * has a channel to it, which closes when that process ends, in order or not.
 */
export function createProcessContext(
  environment: ProcessContext["environment"],
  options: CommonOptions,
): ProcessContext {
  const stopping = new AbortController();
  const stop = (name: string): void => {
    stopping.abort(new SatelliteError("Stopped", `stopped by ${name}`));
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  process.once("disconnect", () => stop("the end of its supervisor"));
  if (process.send !== undefined && !process.connected) {
    stop("the end of its supervisor");
  }
  // Listening alone would keep a process alive that has nothing left to do.
  process.channel?.unref();
  outliveReaders();
  const logger = createLogger({ level: options.logLevel, format: options.logFormat });
  const faults = new ProcessFaults({ clock: systemClock, logger, exit: (code) => process.exit(code) });
  faults.watch(process);
  return { environment, clock: systemClock, random: Math.random, logger, stop: stopping.signal, faults };
}

/**
 * What this process writes may find nobody: whoever reads the log was killed, or the disk is full. Without a listener
 * that would be an uncaught error, whose line in the log would be the next one, without end.
 */
function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", () => {});
  }
}

/**
 * Reads "host:port" or ":port". An empty host stands for all addresses, of IPv6 and IPv4, as it does for Node.
 *
 * @throws SatelliteError `InvalidAddress`
 */
export function parseAddress(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?<host>\[[0-9a-fA-F:]+\]|[^:]*):(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.["port"]);
  if (match === null || port > 65_535) {
    throw new SatelliteError(
      "InvalidAddress",
      `"${text}" is not an address; write host:port, for example 127.0.0.1:8080 (port 0 takes a free one)`,
    );
  }
  const host = match.groups?.["host"]?.replace(/^\[|\]$/g, "") ?? "";
  return { host, port };
}
