import type { Clock, Timer } from "../../base/clock.ts";

/** When a batch is sent, as Karpenter's batcher has proved it. */
export interface BatchWindow {
  /** Sent when nothing was added for this long, in milliseconds. */
  readonly idleMs: number;
  /** Sent this long after the first item at the latest, in milliseconds. */
  readonly maxMs: number;
  /** Sent as soon as there are so many. */
  readonly maxItems: number;
  /**
   * While one request follows the other, `idleMs` doubles with each, up to so many times itself and to `maxMs`. 1: it
   * never grows.
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
  readonly acquire: (wanted: () => number) => Promise<number>;
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
  readonly promise: Promise<Result>;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  /** When it was first sent, on the monotonic clock; undefined while it waits. */
  sentAtMs?: number;
}

/**
 * Gathers single requests into few. The first after a quiet time goes out at once, so that one wake is not
 * delayed; those that follow while it is on its way, or shortly after, are gathered for a window of time, which may
 * grow while they keep coming: a thousand wakes that arrive over seconds must not use up EC2's few requests.
 * Whatever waits for a token goes out together once there is one.
 *
 * When a request fails for some of its items, those that the error names are dropped and the others are sent
 * again; when it names none, the request is halved until the culprits stand alone.
 */
export class Batcher<Result> {
  readonly #options: BatcherOptions<Result>;
  readonly #window: BatchWindow;
  readonly #waiting: Item<Result>[] = [];
  /** Latest item of each ID that is not settled. */
  readonly #unsettled = new Map<string, Item<Result>>();
  #onTheWay = 0;
  #isFlushing = false;
  #lastAddedMs = Number.NEGATIVE_INFINITY;
  #openedMs = 0;
  /** Requests since the last time that nothing was added for twice `maxMs`. */
  #streak = 0;
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
    const item: Item<Result> = { id, promise, resolve, reject };
    this.#unsettled.set(id, item);
    this.#waiting.push(item);
    this.#schedule(nowMs);
    return promise;
  }

  #schedule(nowMs: number): void {
    const pauseMs = nowMs - this.#lastAddedMs;
    const idleMs = this.#idleMs(pauseMs);
    const quiet = this.#onTheWay === 0 && pauseMs >= idleMs;
    this.#lastAddedMs = nowMs;
    if (this.#isFlushing) {
      return;
    }
    if (this.#waiting.length >= this.#window.maxItems) {
      void this.#flush();
      return;
    }
    if (this.#waiting.length === 1) {
      this.#openedMs = nowMs;
      // Zero and not now: what is asked for in the same turn of the event loop still goes along.
      this.#arm(quiet ? 0 : idleMs);
      this.#leads = quiet;
      return;
    }
    if (!this.#leads) {
      this.#arm(Math.min(idleMs, this.#openedMs + this.#window.maxMs - nowMs));
    }
  }

  /** How long to wait for more, from what came lately. */
  #idleMs(pauseMs: number): number {
    const { idleMs, maxMs, growth } = this.#window;
    if (pauseMs >= 2 * maxMs) {
      this.#streak = 0;
    }
    // The first request of a streak went out at once; the second waits as long as any.
    return Math.min(maxMs, idleMs * Math.min(growth, 2 ** Math.max(0, this.#streak - 1)));
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
      while (this.#waiting.length > 0) {
        const count = await this.#options.acquire(() =>
          Math.min(this.#waiting.length, this.#window.maxItems),
        );
        this.#streak += 1;
        void this.#send(this.#waiting.splice(0, count));
      }
    } catch (error) {
      this.#rejectAll(this.#waiting.splice(0), error);
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
    const middle = Math.ceil(batch.length / 2);
    void this.#sendAgain(batch.slice(0, middle));
    void this.#sendAgain(batch.slice(middle));
  }

  /** Sends what is left of a batch, in as many requests as tokens make necessary. Never rejects. */
  async #sendAgain(batch: readonly Item<Result>[]): Promise<void> {
    let rest = batch;
    try {
      while (rest.length > 0) {
        const wanted = rest.length;
        const count = await this.#options.acquire(() => wanted);
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
