import type { Clock, Timer } from "../../src/base/clock.ts";

interface Entry {
  readonly dueMs: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

/** Looks at the time or timers at one instant beyond which nothing but a loop explains them. */
const MAX_PER_INSTANT = 500_000;

/**
 * The clock of a simulated world: time stands still until the world is run. Timers run by due time, then by their
 * order of creation, and everything that one sets off through promises settles before the next. A heap keeps
 * this cheap for long stories.
 */
export class SimClock implements Clock {
  readonly #startMs: number;
  readonly #heap: Entry[] = [];
  #nowMs = 0;
  #order = 0;
  #sinceAdvance = 0;

  /** @param start wall-clock time at first */
  constructor(start = new Date("2026-01-01T00:00:00Z")) {
    this.#startMs = start.getTime();
  }

  now(): Date {
    return new Date(this.#startMs + this.#nowMs);
  }

  /** @throws Error when something loops without letting time pass */
  monotonicMs(): number {
    this.#sinceAdvance++;
    if (this.#sinceAdvance > MAX_PER_INSTANT) {
      throw new Error(`something loops at ${this.#nowMs} ms without letting time pass`);
    }
    return this.#nowMs;
  }

  /** Milliseconds since the world began. */
  get elapsedMs(): number {
    return this.#nowMs;
  }

  /** Whether something has looped without letting time pass. */
  get isLooping(): boolean {
    return this.#sinceAdvance > MAX_PER_INSTANT;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const entry: Entry = {
      // A timer of a computer has whole milliseconds at best.
      dueMs: Number.isFinite(delayMs) ? this.#nowMs + Math.max(0, Math.ceil(delayMs)) : Infinity,
      order: this.#order++,
      callback,
    };
    if (entry.dueMs !== Infinity) {
      this.#push(entry);
    }
    return { cancel: () => (entry.callback = undefined) };
  }

  /** Runs timers until `isDone`, or until `untilMs` has passed. */
  async run(untilMs: number, isDone: () => boolean): Promise<void> {
    await settle();
    while (!isDone() && !this.isLooping) {
      const entry = this.#heap[0];
      if (entry === undefined || entry.dueMs > untilMs) {
        this.#nowMs = Math.max(this.#nowMs, untilMs);
        return;
      }
      this.#pop();
      if (entry.callback === undefined) {
        continue;
      }
      if (entry.dueMs > this.#nowMs) {
        this.#nowMs = entry.dueMs;
        this.#sinceAdvance = 0;
      } else {
        this.#sinceAdvance++;
      }
      entry.callback();
      await settle();
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parentIndex = (index - 1) >>> 1;
      const parent = heap[parentIndex];
      if (parent === undefined || !isBefore(entry, parent)) {
        break;
      }
      heap[index] = parent;
      index = parentIndex;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) {
      return;
    }
    let index = 0;
    for (;;) {
      let childIndex = 2 * index + 1;
      let child = heap[childIndex];
      const right = heap[childIndex + 1];
      if (child !== undefined && right !== undefined && isBefore(right, child)) {
        childIndex += 1;
        child = right;
      }
      if (child === undefined || !isBefore(child, last)) {
        break;
      }
      heap[index] = child;
      index = childIndex;
    }
    heap[index] = last;
  }
}

function isBefore(left: Entry, right: Entry): boolean {
  return left.dueMs < right.dueMs || (left.dueMs === right.dueMs && left.order < right.order);
}

/** Lets everything settle that waits for promises only. */
function settle(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
