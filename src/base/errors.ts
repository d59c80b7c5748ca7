/** Options of {@link SatelliteError}. */
export interface SatelliteErrorOptions {
  /** What was thrown underneath, kept for logs. */
  readonly cause?: unknown;
}

/**
 * The one error class of the product. `code` is stable and meant for machines (tests, metrics, callers);
 * `message` is meant for people and says what to do.
 */
export class SatelliteError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options: SatelliteErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "SatelliteError";
    this.code = code;
  }
}

/** Turns any thrown thing into an Error, so that every catch block has a message and a stack to show. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
