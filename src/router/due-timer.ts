import type { Clock, Timer } from "../base/clock.ts";

/**
 * Calls back when something is due, where what is due changes with every request: planning later, or giving a plan up,
 * leaves the clock's own timer alone, which looks when it fires whether there is still something to do and when.
 */
export class DueTimer {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  #dueMs: number | undefined;
  #timer: Timer | undefined;
  /** When {@link #timer} fires. */
  #firesMs = 0;

  /** @param onDue called once for each plan that was not given up */
  constructor(clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  get isPlanned(): boolean {
    return this.#dueMs !== undefined;
  }

  /** @param dueMs on the monotonic clock; takes the place of the plan before */
  plan(dueMs: number): void {
    this.#dueMs = dueMs;
    if (this.#timer === undefined || this.#firesMs > dueMs) {
      this.#arm(dueMs);
    }
  }

  /** Gives the plan up. */
  forget(): void {
    this.#dueMs = undefined;
  }

  /** Gives the plan up, and lets go of the clock's timer. */
  stop(): void {
    this.#dueMs = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(dueMs: number): void {
    this.#timer?.cancel();
    this.#firesMs = dueMs;
    this.#timer = this.#clock.setTimer(Math.max(0, dueMs - this.#clock.monotonicMs()), () => this.#onFire());
  }

  #onFire(): void {
    this.#timer = undefined;
    const dueMs = this.#dueMs;
    if (dueMs === undefined) {
      return;
    }
    if (dueMs > this.#clock.monotonicMs()) {
      this.#arm(dueMs);
      return;
    }
    this.#dueMs = undefined;
    this.#onDue();
  }
}
