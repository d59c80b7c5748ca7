import type { Clock } from "../../base/clock.ts";

interface Shown<T> {
  readonly visibleAtMs: number;
  readonly record: T;
}

/**
 * What readers see of the instances, or of the volumes: each change becomes visible after a delay ("eventual consistency",
 * EC2 developer guide), so that reads right after a change can be stale and a new instance can be missing.
 */
export class Visibility<T extends { readonly id: string }> {
  readonly #clock: Clock;
  readonly #delayMs: () => number;
  readonly #shown = new Map<string, Shown<T>[]>();

  /** @param delayMs how long the next change stays hidden, in milliseconds; 0 shows it at once */
  constructor(clock: Clock, delayMs: () => number) {
    this.#clock = clock;
    this.#delayMs = delayMs;
  }

  /** Takes note of a new or changed record. Changes of one record never overtake each other. */
  publish(record: T): void {
    const history = this.#shown.get(record.id) ?? [];
    const visibleAtMs = Math.max(
      this.#clock.monotonicMs() + this.#delayMs(),
      history.at(-1)?.visibleAtMs ?? 0,
    );
    this.#shown.set(record.id, [...this.#relevant(history), { visibleAtMs, record }]);
  }

  /** Shows a record at once, for one that was restored. */
  restore(record: T): void {
    this.#shown.set(record.id, [{ visibleAtMs: 0, record }]);
  }

  forget(id: string): void {
    this.#shown.delete(id);
  }

  /** The record as readers see it now; undefined when it is not visible yet. */
  get(id: string): T | undefined {
    const nowMs = this.#clock.monotonicMs();
    return this.#shown.get(id)?.findLast((shown) => shown.visibleAtMs <= nowMs)?.record;
  }

  /** All visible records, oldest first. */
  all(): T[] {
    return [...this.#shown.keys()].map((id) => this.get(id)).filter((record) => record !== undefined);
  }

  /** The history without what nobody can see any more. */
  #relevant(history: readonly Shown<T>[]): Shown<T>[] {
    const nowMs = this.#clock.monotonicMs();
    const current = history.findLastIndex((shown) => shown.visibleAtMs <= nowMs);
    return history.slice(Math.max(0, current));
  }
}
