import type { Clock } from "../base/clock.ts";

/** What a load came to, and for how long that may be believed. */
export interface Loaded<V> {
  readonly value: V;
  /** Milliseconds; zero or less is not kept at all. */
  readonly ttlMs: number;
  /**
   * `positive` and `negative` answers are kept apart, so that a flood of bad keys cannot push good ones out. A `failure`
   * is kept like a negative answer, but never takes the place of an answer that is still good.
   */
  readonly kind: "positive" | "negative" | "failure";
}

/** A kept answer. Times are on the monotonic clock. */
export interface CacheEntry<V> {
  readonly value: V;
  /** From here on it must not be used. */
  readonly expiresAtMs: number;
  /** From here on a use should cause a load in the background. */
  readonly refreshAtMs: number;
}

/** Bounds of {@link ExpiringCache}. */
export interface ExpiringCacheOptions {
  readonly clock: Clock;
  /** Most answers kept, of the positive and of the negative kind each. */
  readonly maxEntries: number;
  /** Most loads under way. */
  readonly maxPending: number;
  /** Most loads under way for one source. */
  readonly maxPendingPerSource: number;
}

/** An answer is renewed in the background when it is used in the last third of its time. */
const REFRESH_SHARE = 2 / 3;

/**
 * Answers of a slow authority, kept for a bounded time and in bounded number. Many who ask for one key at a time cause
 * one load. A key in steady use never waits: it is renewed before it expires; if that fails it expires all the same.
 */
export class ExpiringCache<V> {
  readonly #options: ExpiringCacheOptions;
  readonly #positive = new Map<string, CacheEntry<V>>();
  readonly #negative = new Map<string, CacheEntry<V>>();
  readonly #pending = new Map<string, Promise<CacheEntry<V>>>();
  readonly #pendingBySource = new Map<string, number>();

  constructor(options: ExpiringCacheOptions) {
    this.#options = options;
  }

  /** Answers kept at present, expired ones that were not swept yet included. */
  get size(): number {
    return this.#positive.size + this.#negative.size;
  }

  /**
   * The kept answer at once, else a promise of a loaded one.
   *
   * @param source on whose behalf; bounds apply to each
   * @param load must not reject: a failure is an answer, too
   * @returns `undefined` when too many loads are under way
   */
  find(
    key: string,
    source: string,
    load: () => Promise<Loaded<V>>,
  ): CacheEntry<V> | Promise<CacheEntry<V>> | undefined {
    const nowMs = this.#options.clock.monotonicMs();
    const entry = this.#kept(key, nowMs);
    if (entry === undefined) {
      return this.#pending.get(key) ?? this.#load(key, source, load);
    }
    if (nowMs >= entry.refreshAtMs && !this.#pending.has(key)) {
      void this.#load(key, source, load);
    }
    return entry;
  }

  #kept(key: string, nowMs: number): CacheEntry<V> | undefined {
    const entry = this.#positive.get(key) ?? this.#negative.get(key);
    return entry !== undefined && nowMs < entry.expiresAtMs ? entry : undefined;
  }

  #load(key: string, source: string, load: () => Promise<Loaded<V>>): Promise<CacheEntry<V>> | undefined {
    const { maxPending, maxPendingPerSource } = this.#options;
    const ofSource = this.#pendingBySource.get(source) ?? 0;
    if (this.#pending.size >= maxPending || ofSource >= maxPendingPerSource) {
      return undefined;
    }
    this.#pendingBySource.set(source, ofSource + 1);
    const loading = this.#settle(key, source, load);
    this.#pending.set(key, loading);
    return loading;
  }

  async #settle(key: string, source: string, load: () => Promise<Loaded<V>>): Promise<CacheEntry<V>> {
    try {
      return this.#keep(key, await load());
    } finally {
      this.#pending.delete(key);
      const left = (this.#pendingBySource.get(source) ?? 1) - 1;
      if (left > 0) {
        this.#pendingBySource.set(source, left);
      } else {
        this.#pendingBySource.delete(source);
      }
    }
  }

  #keep(key: string, { value, ttlMs, kind }: Loaded<V>): CacheEntry<V> {
    const nowMs = this.#options.clock.monotonicMs();
    const entry = { value, expiresAtMs: nowMs + ttlMs, refreshAtMs: nowMs + ttlMs * REFRESH_SHARE };
    const isStillGood = kind === "failure" && this.#kept(key, nowMs) !== undefined;
    if (isStillGood) {
      return entry;
    }
    this.#positive.delete(key);
    this.#negative.delete(key);
    const map = kind === "positive" ? this.#positive : this.#negative;
    if (ttlMs > 0) {
      map.set(key, entry);
    }
    this.#sweep(map, nowMs);
    return entry;
  }

  /** Maps keep the order of insertion, so what was loaded longest ago comes first and mostly expires first. */
  #sweep(map: Map<string, CacheEntry<V>>, nowMs: number): void {
    for (const [key, { expiresAtMs }] of map) {
      if (expiresAtMs > nowMs && map.size <= this.#options.maxEntries) {
        return;
      }
      map.delete(key);
    }
  }
}
