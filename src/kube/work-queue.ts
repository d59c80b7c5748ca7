import { backoffMs, type BackoffOptions, type Random } from "../base/backoff.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { FairLine } from "../base/fair-line.ts";
import type { KubeMetrics } from "./metrics.ts";
import { parseKey } from "./objects.ts";

/** What a {@link WorkQueue} takes. */
export interface WorkQueueOptions {
  /** Label of the queue's metrics. */
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: KubeMetrics;
  /** Delays of `addRateLimited`, per key. Default: client-go's, 5 ms doubling up to 1000 s, without jitter. */
  readonly backoff?: BackoffOptions;
  /**
   * At most so many keys are worked on at the same time. No namespace gets all workers then: each may have three times
   * as many as are free, so that one is left for the others. Default: no bound.
   */
  readonly workers?: number;
}

/** The most urgent first: a wake must not wait for a resync, and a resync not for the first listing of thousands. */
const PRIORITIES = ["high", "normal", "low"] as const;

/** How urgent a key is. */
export type Priority = (typeof PRIORITIES)[number];

/** How many of the busy workers a namespace may have for each that is free. */
const SHARE = 3;

const DEFAULT_BACKOFF: BackoffOptions = { baseMs: 5, maxMs: 1_000_000, jitter: 0 };

interface Delayed {
  readonly dueMs: number;
  readonly timer: Timer;
}

/**
 * A queue of keys with client-go's semantics (client-go, util/workqueue):
 * - a key waits at most once, however often it is added;
 * - a key is with one worker at most; added meanwhile, it is queued again when that worker calls `done`;
 * - urgent keys come out first, those of one priority in the order they went in, namespaces by turns;
 * - `addAfter` keeps the earlier time of two; `addRateLimited` backs off for each key on its own.
 */
export class WorkQueue {
  readonly name: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #metrics: KubeMetrics;
  readonly #backoff: BackoffOptions;
  readonly #waiting: Readonly<Record<Priority, FairLine<string>>> = {
    high: new FairLine(),
    normal: new FairLine(),
    low: new FairLine(),
  };
  /** Priority of each waiting key. */
  readonly #priorities = new Map<string, Priority>();
  /** Since when each waiting key waits, on the monotonic clock. */
  readonly #addedAtMs = new Map<string, number>();
  /** Keys with a worker, and since when. */
  readonly #processing = new Map<string, number>();
  /** How many of them each namespace has. */
  readonly #busy = new Map<string, number>();
  readonly #workers: number;
  /** Keys added while with a worker, and how urgently. */
  readonly #again = new Map<string, Priority>();
  readonly #delayed = new Map<string, Delayed>();
  readonly #failures = new Map<string, number>();
  readonly #takers: ((key: string | undefined) => void)[] = [];
  #shutDown = false;

  constructor(options: WorkQueueOptions) {
    this.name = options.name;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#metrics = options.metrics;
    this.#backoff = options.backoff ?? DEFAULT_BACKOFF;
    this.#workers = options.workers ?? Infinity;
    this.#metrics.queueDepth.set({ name: this.name }, 0);
    this.#metrics.observeQueue({
      name: this.name,
      workingSeconds: () =>
        [...this.#processing.values()].map((sinceMs) => (this.#clock.monotonicMs() - sinceMs) / 1000),
    });
  }

  /** Keys that wait; neither those with a worker nor those added for later. */
  get length(): number {
    return this.#addedAtMs.size;
  }

  /** Marks a key as in need of work. After {@link shutDown} this does nothing. */
  add(key: string, priority: Priority = "normal"): void {
    if (this.#shutDown) {
      return;
    }
    if (this.#processing.has(key)) {
      if (!this.#again.has(key)) {
        this.#metrics.queueAdds.inc({ name: this.name });
      }
      this.#again.set(key, moreUrgent(this.#again.get(key), priority));
      return;
    }
    const waiting = this.#priorities.get(key);
    if (waiting === undefined) {
      this.#metrics.queueAdds.inc({ name: this.name });
      this.#enqueue(key, priority);
    } else if (moreUrgent(waiting, priority) !== waiting) {
      this.#waiting[waiting].delete(key, namespaceOf(key));
      this.#waiting[priority].add(key, namespaceOf(key));
      this.#priorities.set(key, priority);
    }
  }

  /** Adds a key after `delayMs`; at once when that is not positive. Of two such calls the earlier time holds. */
  addAfter(key: string, delayMs: number, priority: Priority = "normal"): void {
    if (this.#shutDown) {
      return;
    }
    if (delayMs <= 0) {
      this.add(key, priority);
      return;
    }
    const dueMs = this.#clock.monotonicMs() + delayMs;
    const pending = this.#delayed.get(key);
    if (pending !== undefined && pending.dueMs <= dueMs) {
      return;
    }
    pending?.timer.cancel();
    const timer = this.#clock.setTimer(delayMs, () => {
      this.#delayed.delete(key);
      this.add(key, priority);
    });
    this.#delayed.set(key, { dueMs, timer });
  }

  /** Adds a key after its own back-off, which grows with each call until {@link forget}. */
  addRateLimited(key: string): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#metrics.queueRetries.inc({ name: this.name });
    this.addAfter(key, backoffMs(failures, this.#backoff, this.#random));
  }

  /** Ends a key's back-off: its work succeeded, or will not be tried again. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** How often a key was added by {@link addRateLimited} since it was last forgotten. */
  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /**
   * Takes the next key, waiting for one. Each key taken must be given back with {@link done}.
   *
   * @returns undefined once the queue is shut down and nothing waits any more
   */
  get(): Promise<string | undefined> {
    const key = this.#dequeue();
    if (key !== undefined || this.#shutDown) {
      return Promise.resolve(key);
    }
    return new Promise((resolve) => {
      this.#takers.push(resolve);
    });
  }

  /** Gives a key back; it is queued again when it was added meanwhile. */
  done(key: string): void {
    const sinceMs = this.#processing.get(key);
    if (sinceMs === undefined) {
      return;
    }
    this.#processing.delete(key);
    const group = namespaceOf(key);
    const left = (this.#busy.get(group) ?? 1) - 1;
    if (left === 0) {
      this.#busy.delete(group);
    } else {
      this.#busy.set(group, left);
    }
    this.#metrics.workSeconds.observe({ name: this.name }, (this.#clock.monotonicMs() - sinceMs) / 1000);
    const priority = this.#again.get(key);
    if (priority !== undefined) {
      this.#again.delete(key);
      this.#enqueue(key, priority);
    }
    this.#handOut();
  }

  /** Takes no more keys, and drops those that were added for later. Keys that wait are still given to workers. */
  shutDown(): void {
    this.#shutDown = true;
    for (const { timer } of this.#delayed.values()) {
      timer.cancel();
    }
    this.#delayed.clear();
    for (const take of this.#takers.splice(0)) {
      take(undefined);
    }
  }

  #enqueue(key: string, priority: Priority): void {
    this.#waiting[priority].add(key, namespaceOf(key));
    this.#priorities.set(key, priority);
    this.#addedAtMs.set(key, this.#clock.monotonicMs());
    this.#metrics.queueDepth.set({ name: this.name }, this.length);
    this.#handOut();
  }

  /** Gives keys to workers that wait, as far as they may be worked on. */
  #handOut(): void {
    while (this.#takers.length > 0) {
      const key = this.#dequeue();
      if (key === undefined) {
        return;
      }
      this.#takers.shift()?.(key);
    }
  }

  #dequeue(): string | undefined {
    const free = this.#workers - this.#processing.size;
    const mayTake = (group: string): boolean => this.#shutDown || (this.#busy.get(group) ?? 0) < SHARE * free;
    for (const priority of PRIORITIES) {
      const key = this.#waiting[priority].take(mayTake);
      if (key !== undefined) {
        this.#hand(key);
        return key;
      }
    }
    return undefined;
  }

  #hand(key: string): void {
    const nowMs = this.#clock.monotonicMs();
    const waitedMs = nowMs - (this.#addedAtMs.get(key) ?? nowMs);
    this.#priorities.delete(key);
    this.#addedAtMs.delete(key);
    this.#processing.set(key, nowMs);
    this.#busy.set(namespaceOf(key), (this.#busy.get(namespaceOf(key)) ?? 0) + 1);
    this.#metrics.queueDepth.set({ name: this.name }, this.length);
    this.#metrics.queueSeconds.observe({ name: this.name }, waitedMs / 1000);
  }
}

function moreUrgent(one: Priority | undefined, other: Priority): Priority {
  return one !== undefined && PRIORITIES.indexOf(one) < PRIORITIES.indexOf(other) ? one : other;
}

/** Keys of cluster-scoped objects form one group. */
function namespaceOf(key: string): string {
  return parseKey(key).namespace ?? "";
}
