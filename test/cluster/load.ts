import type { GuestClient } from "../../src/guest/client.ts";

/** Between the calls of one caller, in milliseconds. */
const PAUSE_MS = 20;
/** A call that takes longer has failed, in milliseconds. */
const DEADLINE_MS = 60_000;

/** What came of a load. */
export interface LoadReport {
  readonly calls: number;
  /** What the calls that failed were told. */
  readonly failures: readonly string[];
  /** The longest that a caller waited for an answer, in milliseconds. */
  readonly longestMs: number;
}

/** For people who read the run. */
export function printLoad(what: string, { calls, failures, longestMs }: LoadReport): void {
  console.log(
    `      ${what}: ${calls} calls, ${failures.length} failed, longest pause ${(longestMs / 1000).toFixed(2)} s`,
  );
}

/** Small calls, one after the other by each caller, until it is stopped. */
export class Load {
  readonly #stopping = new AbortController();
  readonly #callers: Promise<void>[];
  readonly #failures: string[] = [];
  #calls = 0;
  #longestMs = 0;

  /** @param clients one for each caller */
  constructor(clients: readonly GuestClient[]) {
    this.#callers = clients.map((client) => this.#call(client));
  }

  async #call(client: GuestClient): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const startedMs = performance.now();
      try {
        await client.describe(DEADLINE_MS);
      } catch (error) {
        this.#failures.push(String(error));
      }
      this.#calls += 1;
      this.#longestMs = Math.max(this.#longestMs, performance.now() - startedMs);
      await new Promise<void>((resolve) => {
        setTimeout(resolve, PAUSE_MS);
      });
    }
  }

  /** Calls that have ended until now. */
  get calls(): number {
    return this.#calls;
  }

  /** Lets the calls under way end. */
  async stop(): Promise<LoadReport> {
    this.#stopping.abort();
    await Promise.all(this.#callers);
    return { calls: this.#calls, failures: this.#failures, longestMs: this.#longestMs };
  }
}
