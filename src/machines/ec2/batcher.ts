import type { Clock, Timer } from "../../base/clock.ts";
import { FairLine } from "../../base/fair-line.ts";

/** When a batch is sent. Karpenter's batcher works by such a window. */
export interface BatchWindow {
  /** It is sent when nothing has been added for this long, in milliseconds. */
  readonly idleMs: number;
  /** It is sent at most this long after its first item, in milliseconds. */
  readonly maxMs: number;
  /** It is sent as soon as it has so many items. */
  readonly maxItems: number;
  /**
   * While requests of a tenant follow each other, `idleMs` doubles with each of them, up to `growth` times its value and to
   * `maxMs`. 1: it does not grow.
   */
  readonly growth: number;
}

/** 100 ms idle, 1 s at most, 500 items. */
export const DEFAULT_WINDOW: BatchWindow = { idleMs: 100, maxMs: 1_000, maxItems: 500, growth: 1 };

/** What a batcher needs. */
export interface BatcherOptions<Result> {
  readonly clock: Clock;
  /** Default {@link DEFAULT_WINDOW}. */
  readonly window?: BatchWindow;
  /**
   * Waits until a request may be sent.
   *
   * @param wanted asked when the turn has come: how many items there are
   * @returns how many of them the request may carry, at least 1
   */
  readonly acquire: (wanted: () => number, tenant?: string) => Promise<number>;
  /** The tenant of an ID; where not all fit into a request, tenants take turns. Default: there is one tenant. */
  readonly tenantOf?: (id: string) => string | undefined;
  /** Sends one request; the map holds a result per ID. */
  readonly send: (ids: readonly string[]) => Promise<ReadonlyMap<string, Result>>;
  /** What an ID gets that the answer leaves out. */
  readonly absent: (id: string) => Result;
  /** Those of `ids` that the error names as its cause. */
  readonly blamed: (error: unknown, ids: readonly string[]) => readonly string[];
  /** Whether a part of the request could succeed where the whole failed. */
  readonly isDivisible: (error: unknown) => boolean;
}

interface Item<Result> {
  readonly id: string;
  readonly tenant: string;
  readonly promise: Promise<Result>;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  /** When it was first sent, on the monotonic clock; undefined while it waits. */
  sentAtMs?: number;
}

/** What one tenant has added lately. */
interface Streak {
  lastAddedMs: number;
  /** Requests with items of it since it last added nothing for twice `maxMs`. */
  requests: number;
}

/**
 * Gathers single requests into batches. The first after a quiet time is sent at once, so that a single wake is not delayed.
 * Those that follow soon are gathered for a window of time, which may grow while they keep coming, since a thousand wakes
 * over some seconds must not use up the few requests that EC2 allows. What waits for a token is sent together when there is
 * one; where not all of it fits, tenants take turns.
 *
 * When a request fails for some of its items, those that the error names fail and the others are sent again. When it names
 * none, the request is halved until the items at fault are alone.
 */
export class Batcher<Result> {
  readonly #options: BatcherOptions<Result>;
  readonly #window: BatchWindow;
  readonly #waiting = new FairLine<Item<Result>>();
  /** Latest item of each ID that is not settled. */
  readonly #unsettled = new Map<string, Item<Result>>();
  #onTheWay = 0;
  #isFlushing = false;
  #lastAddedMs = Number.NEGATIVE_INFINITY;
  /** When the open window closes at the latest, on the monotonic clock. */
  #closesMs = 0;
  /** Tenants that keep adding: the window grows for them, and not for one that has just begun. */
  readonly #streaks = new Map<string, Streak>();
  /** Whether the open window is that of the first item after a quiet time. */
  #leads = false;
  #timer: Timer | undefined;

  constructor(options: BatcherOptions<Result>) {
    this.#options = options;
    this.#window = options.window ?? DEFAULT_WINDOW;
  }

  /**
   * Adds `id` to a batch, or joins the request for the same ID that is under way.
   *
   * @param joinWithinMs joins a request only if it was sent at most this many milliseconds ago
   * @returns the result for this ID; rejects with what `send` threw about it
   */
  submit(id: string, joinWithinMs = Number.POSITIVE_INFINITY): Promise<Result> {
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.#unsettled.get(id);
    if (known !== undefined && nowMs - (known.sentAtMs ?? nowMs) <= joinWithinMs) {
      return known.promise;
    }
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const tenant = this.#options.tenantOf?.(id) ?? "";
    const item: Item<Result> = { id, tenant, promise, resolve, reject };
    this.#unsettled.set(id, item);
    this.#waiting.add(item, tenant);
    this.#schedule(nowMs, tenant);
    return promise;
  }

  #schedule(nowMs: number, tenant: string): void {
    const { maxItems, maxMs } = this.#window;
    const idleMs = this.#idleMs(nowMs, tenant);
    const quiet = this.#onTheWay === 0 && nowMs - this.#lastAddedMs >= idleMs;
    this.#lastAddedMs = nowMs;
    if (this.#isFlushing) {
      return;
    }
    if (this.#waiting.size >= maxItems) {
      void this.#flush();
      return;
    }
    if (this.#waiting.size === 1) {
      this.#closesMs = nowMs + maxMs;
      // A timer of zero, so that what is added in the same turn of the event loop is sent along.
      this.#arm(quiet ? 0 : idleMs);
      this.#leads = quiet;
      return;
    }
    if (!this.#leads) {
      this.#arm(Math.min(idleMs, this.#closesMs - nowMs));
    }
  }

  /** How long to wait for more, from what came lately of the same tenant. */
  #idleMs(nowMs: number, tenant: string): number {
    const { idleMs, maxMs, growth } = this.#window;
    const known = this.#streaks.get(tenant);
    const goesOn = known !== undefined && nowMs - known.lastAddedMs < 2 * maxMs;
    const requests = goesOn ? known.requests : 0;
    this.#streaks.set(tenant, { lastAddedMs: nowMs, requests });
    if (requests === 0) {
      // Tenants that keep adding must not delay one that has just begun.
      this.#closesMs = Math.min(this.#closesMs, nowMs + idleMs);
    }
    // The first request of a streak went out at once; the second waits as long as any.
    return Math.min(maxMs, idleMs * Math.min(growth, 2 ** Math.max(0, requests - 1)));
  }

  /** Takes note of whose items went out, and forgets who has not added anything for long. */
  #countRequest(items: readonly Item<Result>[]): void {
    for (const tenant of new Set(items.map((item) => item.tenant))) {
      const streak = this.#streaks.get(tenant);
      if (streak !== undefined) {
        streak.requests += 1;
      }
    }
    const nowMs = this.#options.clock.monotonicMs();
    for (const [tenant, { lastAddedMs }] of this.#streaks) {
      if (nowMs - lastAddedMs >= 2 * this.#window.maxMs) {
        this.#streaks.delete(tenant);
      }
    }
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(Math.max(0, delayMs), () => void this.#flush());
  }

  async #flush(): Promise<void> {
    this.#timer?.cancel();
    if (this.#isFlushing) {
      return;
    }
    this.#isFlushing = true;
    try {
      while (this.#waiting.size > 0) {
        const count = await this.#options.acquire(() => Math.min(this.#waiting.size, this.#window.maxItems));
        const items = this.#takeWaiting(count);
        this.#countRequest(items);
        void this.#send(items);
      }
    } catch (error) {
      this.#rejectAll(this.#takeWaiting(this.#waiting.size), error);
    } finally {
      this.#isFlushing = false;
    }
  }

  /** Sends a batch for which there is a token. Never rejects. */
  async #send(batch: readonly Item<Result>[]): Promise<void> {
    const sentAtMs = this.#options.clock.monotonicMs();
    for (const item of batch) {
      item.sentAtMs ??= sentAtMs;
    }
    this.#onTheWay += 1;
    try {
      const results = await this.#options.send(batch.map(({ id }) => id));
      for (const item of batch) {
        const result = results.get(item.id);
        this.#settle(item);
        item.resolve(result === undefined ? this.#options.absent(item.id) : result);
      }
    } catch (error) {
      this.#divide(batch, error);
    } finally {
      this.#onTheWay -= 1;
    }
  }

  #divide(batch: readonly Item<Result>[], error: unknown): void {
    if (batch.length === 1 || !this.#options.isDivisible(error)) {
      this.#rejectAll(batch, error);
      return;
    }
    const blamed = new Set(
      this.#options.blamed(
        error,
        batch.map(({ id }) => id),
      ),
    );
    const culprits = batch.filter(({ id }) => blamed.has(id));
    if (culprits.length > 0) {
      this.#rejectAll(culprits, error);
      void this.#sendAgain(batch.filter(({ id }) => !blamed.has(id)));
      return;
    }
    const [first, rest] = parted(batch);
    void this.#sendAgain(first);
    void this.#sendAgain(rest);
  }

  #takeWaiting(count: number): Item<Result>[] {
    const items: Item<Result>[] = [];
    while (items.length < count) {
      const item = this.#waiting.take();
      if (item === undefined) {
        break;
      }
      items.push(item);
    }
    return items;
  }

  /** Sends what is left of a batch, in as many requests as tokens make necessary. Never rejects. */
  async #sendAgain(batch: readonly Item<Result>[]): Promise<void> {
    let rest = batch;
    try {
      while (rest.length > 0) {
        const wanted = rest.length;
        const count = await this.#options.acquire(() => wanted, soleTenant(rest));
        void this.#send(rest.slice(0, count));
        rest = rest.slice(count);
      }
    } catch (error) {
      this.#rejectAll(rest, error);
    }
  }

  #rejectAll(batch: readonly Item<Result>[], error: unknown): void {
    for (const item of batch) {
      this.#settle(item);
      item.reject(error);
    }
  }

  #settle(item: Item<Result>): void {
    if (this.#unsettled.get(item.id) === item) {
      this.#unsettled.delete(item.id);
    }
  }
}

/**
 * Two parts of a batch that was refused. The tenant with most items is separated, since its items are most likely at fault
 * and the others must not wait for the search; one tenant's batch is halved.
 */
function parted<T extends { readonly tenant: string }>(
  batch: readonly T[],
): readonly [readonly T[], readonly T[]] {
  const counts = new Map<string, number>();
  for (const { tenant } of batch) {
    counts.set(tenant, (counts.get(tenant) ?? 0) + 1);
  }
  if (counts.size === 1) {
    const middle = Math.ceil(batch.length / 2);
    return [batch.slice(0, middle), batch.slice(middle)];
  }
  const [largest] = [...counts].reduce((most, entry) => (entry[1] > most[1] ? entry : most));
  return [batch.filter(({ tenant }) => tenant !== largest), batch.filter(({ tenant }) => tenant === largest)];
}

/** The tenant of all items; undefined where there are several. */
function soleTenant(batch: readonly { readonly tenant: string }[]): string | undefined {
  const [first] = batch;
  return batch.every(({ tenant }) => tenant === first?.tenant) ? first?.tenant : undefined;
}
