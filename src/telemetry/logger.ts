import winston from "winston";

/** Values that may stand beside a log message. Errors are serialized with name, code, stack and cause. */
export type LogFields = Readonly<Record<string, unknown>>;

/** What the product logs through; winston satisfies it, and tests pass one that collects. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every line. */
  child(fields: LogFields): Logger;
}

/** How a process logs. */
export interface LoggerOptions {
  /** Lowest level that is written. */
  readonly level: "debug" | "info" | "warn" | "error";
  /** `json` for machines, `text` for a person at a terminal. */
  readonly format: "json" | "text";
}

const MAX_CAUSES = 5;

/** Plain form of an error with its causes; winston alone would print a nested Error as `{}`. */
export function serializeError(error: Error, depth = 0): Record<string, unknown> {
  const code: unknown = Reflect.get(error, "code");
  return {
    name: error.name,
    message: error.message,
    ...(code === undefined ? {} : { code }),
    stack: error.stack,
    ...(error.cause instanceof Error && depth < MAX_CAUSES
      ? { cause: serializeError(error.cause, depth + 1) }
      : {}),
  };
}

const serializeErrors = winston.format((info) => {
  for (const [key, value] of Object.entries(info)) {
    if (value instanceof Error) {
      info[key] = serializeError(value);
    }
  }
  return info;
});

function textLine(info: winston.Logform.TransformableInfo): string {
  const { timestamp, level, message, ...fields } = info;
  const rest = Object.keys(fields).length === 0 ? "" : ` ${JSON.stringify(fields)}`;
  return `${String(timestamp)} ${level.toUpperCase().padEnd(5)} ${String(message)}${rest}`;
}

/** Creates the process's logger. It writes to standard error, so that standard output stays for results. */
export function createLogger(options: LoggerOptions): Logger {
  const { combine, timestamp, json, printf } = winston.format;
  return winston.createLogger({
    level: options.level,
    format: combine(serializeErrors(), timestamp(), options.format === "json" ? json() : printf(textLine)),
    transports: [new winston.transports.Console({ stderrLevels: ["debug", "info", "warn", "error"] })],
  });
}

/** A logger that writes nothing. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLogger,
};
