import { appendFileSync } from "node:fs";

/** One request as it was answered. */
export interface Call {
  /** ISO 8601. */
  readonly time: string;
  readonly action: string;
  /** Instances that it named or made; for reads those that it returned. */
  readonly ids: readonly string[];
  /** `ok`, an error code, or `Dropped`. */
  readonly outcome: string;
  readonly requestId: string;
}

/** How many calls are kept in memory; older ones are only in the file. */
const MAX_KEPT = 100_000;

/** Every request that the endpoint answered, in order. */
export class RequestLog {
  readonly #path: string | undefined;
  #calls: Call[] = [];

  /** @param path file that gets one JSON line per request; only in memory when absent */
  constructor(path?: string) {
    this.#path = path;
  }

  /** Writes a request down. It is in the file when this returns, so a kill loses nothing. */
  add(call: Call): void {
    this.#calls.push(call);
    if (this.#calls.length > MAX_KEPT) {
      this.#calls = this.#calls.slice(-MAX_KEPT / 2);
    }
    if (this.#path !== undefined) {
      appendFileSync(this.#path, `${JSON.stringify(call)}\n`);
    }
  }

  /**
   * Requests so far, oldest first.
   *
   * @param action only this action
   * @param id only those about this instance
   */
  calls(action?: string, id?: string): readonly Call[] {
    return this.#calls.filter(
      (call) =>
        (action === undefined || call.action === action) && (id === undefined || call.ids.includes(id)),
    );
  }

  clear(): void {
    this.#calls = [];
  }
}
