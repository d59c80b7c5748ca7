import { backoffMs, type Random } from "../base/backoff.ts";
import { sleep, type Clock } from "../base/clock.ts";
import { toError } from "../base/errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import { isPermanent, isStale, type SatelliteApi } from "./satellite-api.ts";
import type { SatelliteView } from "./satellite-view.ts";
import { standingOf } from "./standing.ts";
import type { WriteQueue } from "./write-queue.ts";

/** How a wake ended. */
export type WakeOutcome =
  /** desiredPower is on; whether another router was first does not matter. */
  | { readonly kind: "woken" }
  /** It needs no wake any more, or none is allowed. */
  | { readonly kind: "unneeded" }
  /** The API server will not have it, or did not answer for long. */
  | { readonly kind: "failed"; readonly error: Error };

/** Options of {@link Waker}. */
export interface WakerOptions {
  readonly key: string;
  readonly view: SatelliteView;
  /** Shared with whoever else writes to this satellite. */
  readonly writes: WriteQueue;
  readonly api: SatelliteApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Whether requests are still waiting for it. */
  readonly isWanted: () => boolean;
  readonly onSettled: (outcome: WakeOutcome) => void;
  /** Called with each error that is tried again, so that a request that runs out of time can name it. */
  readonly onTrouble: (error: Error) => void;
}

const RETRY = { baseMs: 100, maxMs: 5000 };
/** How long an unanswered wake is tried again when nobody waits any more. */
const OUTLIVE_MS = 60_000;

/**
 * Wakes one satellite, with one wake in flight however many requests wait for it. A wake outlives its requests: clients
 * such as earthly give up after a second and come back on a fresh connection.
 */
export class Waker {
  readonly #options: WakerOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: WakerOptions) {
    this.#options = options;
  }

  /** Whether a wake is in flight. */
  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Starts a wake unless one is in flight. */
  wake(): void {
    this.#running ??= this.#runToEnd();
  }

  /** Ends a wake in flight after its present attempt; resolves when none is under way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #runToEnd(): Promise<void> {
    const outcome = await this.#run();
    this.#running = undefined;
    this.#options.onSettled(outcome);
  }

  async #run(): Promise<WakeOutcome> {
    const { clock, random, isWanted } = this.#options;
    const startMs = clock.monotonicMs();
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#options.writes.run(() => this.#attempt());
      if (outcome.kind !== "failed" || isPermanent(outcome.error)) {
        return outcome;
      }
      this.#options.onTrouble(outcome.error);
      const isOutlived = !isWanted() && clock.monotonicMs() - startMs > OUTLIVE_MS;
      if (isOutlived || !(await this.#pause(backoffMs(attempt, RETRY, random)))) {
        return outcome;
      }
    }
  }

  /** Resolves with whether to go on. */
  async #pause(durationMs: number): Promise<boolean> {
    const { signal } = this.#stop;
    try {
      await sleep(this.#options.clock, durationMs, signal);
    } catch (error) {
      if (!signal.aborted) {
        throw error;
      }
    }
    return !signal.aborted;
  }

  /** One patch. When its tests fail the object is read, and the next attempt decides from what it says. */
  async #attempt(): Promise<WakeOutcome> {
    const { key, view, api, logger } = this.#options;
    const satellite = view.get(key);
    if (satellite === undefined || standingOf(satellite).kind !== "asleep") {
      return { kind: "unneeded" };
    }
    try {
      view.observe(await api.wake(key, satellite));
      logger.info("asked for the satellite to be woken", { satellite: key });
      return { kind: "woken" };
    } catch (thrown) {
      const error = toError(thrown);
      logger.debug("wake was not taken", { satellite: key, error });
      if (!isStale(thrown)) {
        return { kind: "failed", error };
      }
      return this.#decideAnew(error);
    }
  }

  async #decideAnew(refusal: Error): Promise<WakeOutcome> {
    const { key, view } = this.#options;
    try {
      const satellite = await view.refresh(key);
      return satellite !== undefined && standingOf(satellite).kind === "asleep"
        ? { kind: "failed", error: refusal }
        : { kind: "unneeded" };
    } catch (error) {
      return { kind: "failed", error: toError(error) };
    }
  }
}
