import type { Clock } from "../../base/clock.ts";

/** Remembers the results of reads for a while. Calls during a read share it. */
export class TtlCache {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #entries = new Map<string, { readonly value: Promise<unknown>; readonly readAtMs: number }>();

  /** @param ttlMs how long a result is good, in milliseconds */
  constructor(clock: Clock, ttlMs: number) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
  }

  /**
   * The remembered result under `key`, or that of `read`. A failure is passed on and not remembered.
   *
   * @param key names what is read; a key is always used with the same type of result
   */
  get<T>(key: string, read: () => Promise<T>): Promise<T> {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#entries.get(key);
    if (known !== undefined && nowMs - known.readAtMs < this.#ttlMs) {
      return known.value as Promise<T>;
    }
    this.#forgetOld(nowMs);
    const value = read();
    const entry = { value, readAtMs: nowMs };
    this.#entries.set(key, entry);
    value.catch(() => {
      if (this.#entries.get(key) === entry) {
        this.#entries.delete(key);
      }
    });
    return value;
  }

  /** Forgets every result. */
  clear(): void {
    this.#entries.clear();
  }

  #forgetOld(nowMs: number): void {
    for (const [key, { readAtMs }] of this.#entries) {
      if (nowMs - readAtMs >= this.#ttlMs) {
        this.#entries.delete(key);
      }
    }
  }
}
