/** A map that forgets what was not used for longest when it grows beyond `capacity` entries. */
export class LruMap<V> {
  readonly #capacity: number;
  readonly #entries = new Map<string, V>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The value under `key`, made by `create` when there is none; counts as a use. */
  getOrCreate(key: string, create: () => V): V {
    const value = this.#entries.has(key) ? (this.#entries.get(key) as V) : create();
    this.#entries.delete(key);
    this.#entries.set(key, value);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#capacity) {
        break;
      }
      this.#entries.delete(oldest);
    }
    return value;
  }

  get size(): number {
    return this.#entries.size;
  }
}
