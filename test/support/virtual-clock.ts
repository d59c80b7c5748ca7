import type { Clock, Timer } from "../../src/base/clock.ts";

interface PendingTimer {
  readonly dueMs: number;
  /** Order of creation: timers due at the same time run first come, first served. */
  readonly order: number;
  readonly callback: () => void;
}

/**
 * A clock that stands still until a test moves it. Timers run in the order of their due times (then of their
 * creation), one by one, and everything that a timer sets off through promises settles before the next one
 * runs. So the same test always sees the same order of events, however long the times are.
 */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  #startMs: number;
  readonly #pending = new Set<PendingTimer>();

  /** @param start wall-clock time that the clock shows at first */
  constructor(start = new Date("2026-01-01T00:00:00Z")) {
    this.#startMs = start.getTime();
  }

  now(): Date {
    return new Date(this.#startMs + this.#nowMs);
  }

  /** Moves the wall clock by `byMs`; the monotonic clock does not change. */
  set(byMs: number): void {
    this.#startMs += byMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#pending.add(timer);
    return { cancel: () => this.#pending.delete(timer) };
  }

  /** Timers that have neither run nor been cancelled. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** When the next timer is due, on the monotonic clock; undefined when there is none. */
  nextDueMs(): number | undefined {
    return this.#next()?.dueMs;
  }

  /** Lets everything settle that waits only for promises, `process.nextTick` or `setImmediate`. */
  async settle(): Promise<void> {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }

  /**
   * Moves time on by `durationMs`, running each timer at its own due time, those included that other timers
   * set on the way, and letting promises settle before the first, between any two, and after the last.
   */
  async advance(durationMs: number): Promise<void> {
    const untilMs = this.#nowMs + durationMs;
    await this.settle();
    for (;;) {
      const timer = this.#next();
      if (timer === undefined || timer.dueMs > untilMs) {
        break;
      }
      this.#pending.delete(timer);
      this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
      timer.callback();
      await this.settle();
    }
    this.#nowMs = untilMs;
    await this.settle();
  }

  /** Moves time on and runs what came due by then, all in one turn of the event loop: for code without promises. */
  jump(durationMs: number): void {
    this.#nowMs += durationMs;
    for (;;) {
      const timer = this.#next();
      if (timer === undefined || timer.dueMs > this.#nowMs) {
        return;
      }
      this.#pending.delete(timer);
      timer.callback();
    }
  }

  /**
   * Moves time on without running any timer: what a process sees that was stopped (SIGSTOP) or whose machine
   * slept, at the moment it resumes. Timers that came due meanwhile run at the next {@link advance}.
   */
  leap(durationMs: number): void {
    this.#nowMs += durationMs;
  }

  #next(): PendingTimer | undefined {
    let first: PendingTimer | undefined;
    for (const timer of this.#pending) {
      if (
        first === undefined ||
        timer.dueMs < first.dueMs ||
        (timer.dueMs === first.dueMs && timer.order < first.order)
      ) {
        first = timer;
      }
    }
    return first;
  }
}
