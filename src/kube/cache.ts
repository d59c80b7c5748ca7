import { LRUCache } from "lru-cache";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import { keyString, type KubeObject, objectKey } from "./objects.ts";
import { compareResourceVersions } from "./resource-version.ts";

/** Told of changes, in their order. Objects are shared with the cache: do not change them. */
export interface CacheHandlers<T extends KubeObject> {
  added?(object: T): void;
  updated?(object: T, before: T): void;
  /** `object` is the last that was known of it; after a relist its last changes may never have been seen. */
  deleted?(object: T): void;
}

/** Values under which an object is found by an index; none, one or several. */
export type IndexFunction<T extends KubeObject> = (object: T) => readonly string[];

/** What an {@link ObjectCache} takes. */
export interface ObjectCacheOptions<T extends KubeObject> {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly indexes?: Readonly<Record<string, IndexFunction<T>>>;
}

interface Entry<T> {
  readonly object: T;
  /** When this process wrote this version itself, on the monotonic clock; absent when it was observed. */
  readonly writtenAtMs?: number;
}

/**
 * For how long this process's own writes, and deletions that it saw, count more than a listing of an older version. No
 * API server lags for longer: a listing that still shows an older version then comes from an etcd that was restored
 * from a backup, and is right.
 */
const BELIEF_MS = 300_000;
/** At most so many UIDs of deleted objects are remembered. */
const MAX_TOMBSTONES = 10_000;

/**
 * The objects of one type as the API server last showed them, by key and by index, kept up to date by a
 * Reflector and by the process's own writes.
 *
 * It never returns to a state from before what this process wrote or saw deleted: `upsert` takes the answer of a write
 * at once, and older events and listings that arrive later do not undo it. Versions are compared only where both are
 * decimal numbers; where they are not, the latest arrival is taken.
 */
export class ObjectCache<T extends KubeObject> {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #entries = new Map<string, Entry<T>>();
  readonly #indexFunctions: Readonly<Record<string, IndexFunction<T>>>;
  /** Index name → value → keys. */
  readonly #indexes = new Map<string, Map<string, Set<string>>>();
  /** UIDs of deleted objects, with when that was seen. */
  readonly #tombstones = new LRUCache<string, number>({ max: MAX_TOMBSTONES });
  readonly #handlers = new Set<CacheHandlers<T>>();

  constructor(options: ObjectCacheOptions<T>) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#indexFunctions = options.indexes ?? {};
    for (const name of Object.keys(this.#indexFunctions)) {
      this.#indexes.set(name, new Map());
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The object under "namespace/name" (or "name"). Shared: do not change it. */
  get(key: string): T | undefined {
    return this.#entries.get(key)?.object;
  }

  /** All objects, in no particular order. */
  list(): T[] {
    return Array.from(this.#entries.values(), ({ object }) => object);
  }

  /**
   * Objects that the index `name` has under `value`.
   *
   * @throws Error when there is no such index, which is a mistake in the program
   */
  byIndex(name: string, value: string): T[] {
    const index = this.#indexes.get(name);
    if (index === undefined) {
      throw new Error(`the cache has no index "${name}"`);
    }
    const found: T[] = [];
    for (const key of index.get(value) ?? []) {
      const object = this.get(key);
      if (object !== undefined) {
        found.push(object);
      }
    }
    return found;
  }

  /**
   * Tells `handlers` of every change from now on, and of the present objects as added. What a handler throws is logged,
   * and does not affect others.
   *
   * @returns ends the subscription
   */
  subscribe(handlers: CacheHandlers<T>): () => void {
    this.#handlers.add(handlers);
    for (const { object } of this.#entries.values()) {
      this.#guard(() => handlers.added?.(object));
    }
    return () => void this.#handlers.delete(handlers);
  }

  /**
   * Takes the API server's answer to this process's own write (or read), unless something newer is known.
   *
   * @returns whether the cache changed
   */
  upsert(object: T): boolean {
    return this.#take(object, this.#clock.monotonicMs());
  }

  /** Takes an ADDED or MODIFIED event, unless something newer is known. */
  observe(object: T): void {
    this.#take(object);
  }

  /** Takes a DELETED event, unless a newer object has the same key by now. */
  observeDeletion(object: T): void {
    this.#bury(object);
    const key = keyString(objectKey(object));
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      return;
    }
    const sameObject = entry.object.metadata.uid === object.metadata.uid;
    if (sameObject || !isNewer(entry.object, object.metadata.resourceVersion)) {
      this.#remove(key, entry.object);
    }
  }

  /**
   * Takes a complete listing made at `resourceVersion`: what it lacks is removed, except what this process wrote after
   * it.
   */
  replaceAll(objects: readonly T[], resourceVersion: string): void {
    const listed = new Set<string>();
    for (const object of objects) {
      const key = keyString(objectKey(object));
      listed.add(key);
      const entry = this.#entries.get(key);
      if (
        this.#isBuried(object) ||
        (entry !== undefined && this.#outlives(entry, object.metadata.resourceVersion))
      ) {
        continue;
      }
      this.#store(key, object);
    }
    for (const [key, entry] of this.#entries) {
      if (!listed.has(key) && !this.#outlives(entry, resourceVersion)) {
        this.#bury(entry.object);
        this.#remove(key, entry.object);
      }
    }
  }

  #take(object: T, writtenAtMs?: number): boolean {
    const key = keyString(objectKey(object));
    const known = this.#entries.get(key);
    if (
      this.#isBuried(object) ||
      (known !== undefined && isNewer(known.object, object.metadata.resourceVersion))
    ) {
      return false;
    }
    return this.#store(key, object, writtenAtMs);
  }

  /**
   * Whether an entry stays as it is, whatever a listing shows: this process wrote it not long ago, and it is newer than
   * the listing.
   */
  #outlives(entry: Entry<T>, resourceVersion: string | undefined): boolean {
    return (
      entry.writtenAtMs !== undefined &&
      this.#clock.monotonicMs() - entry.writtenAtMs < BELIEF_MS &&
      isNewer(entry.object, resourceVersion)
    );
  }

  #store(key: string, object: T, writtenAtMs?: number): boolean {
    const before = this.#entries.get(key)?.object;
    if (before !== undefined && sameVersion(before, object)) {
      return false;
    }
    if (before !== undefined && before.metadata.uid !== object.metadata.uid) {
      // Deleted and created again meanwhile: handlers are told that the old one was deleted.
      this.#bury(before);
      this.#remove(key, before);
      this.#store(key, object, writtenAtMs);
      return true;
    }
    if (before !== undefined) {
      this.#unindex(key, before);
    }
    this.#entries.set(key, writtenAtMs === undefined ? { object } : { object, writtenAtMs });
    this.#index(key, object);
    this.#tell((handlers) =>
      before === undefined ? handlers.added?.(object) : handlers.updated?.(object, before),
    );
    return true;
  }

  #remove(key: string, object: T): void {
    this.#entries.delete(key);
    this.#unindex(key, object);
    this.#tell((handlers) => handlers.deleted?.(object));
  }

  /** Remembers that an object was deleted, so that a late answer to a write does not bring it back. */
  #bury({ metadata: { uid } }: T): void {
    if (uid !== undefined) {
      this.#tombstones.set(uid, this.#clock.monotonicMs());
    }
  }

  #isBuried({ metadata: { uid } }: T): boolean {
    const sinceMs = uid === undefined ? undefined : this.#tombstones.peek(uid);
    return sinceMs !== undefined && this.#clock.monotonicMs() - sinceMs < BELIEF_MS;
  }

  #index(key: string, object: T): void {
    for (const [name, index] of this.#indexes) {
      for (const value of this.#valuesOf(name, object)) {
        const keys = index.get(value) ?? new Set();
        index.set(value, keys.add(key));
      }
    }
  }

  #unindex(key: string, object: T): void {
    for (const [name, index] of this.#indexes) {
      for (const value of this.#valuesOf(name, object)) {
        const keys = index.get(value);
        if (keys?.delete(key) === true && keys.size === 0) {
          index.delete(value);
        }
      }
    }
  }

  #valuesOf(name: string, object: T): readonly string[] {
    return this.#indexFunctions[name]?.(object) ?? [];
  }

  #tell(call: (handlers: CacheHandlers<T>) => void): void {
    for (const handlers of this.#handlers) {
      this.#guard(() => call(handlers));
    }
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#logger.error("A handler of cache changes failed; this is a mistake in the program", { error });
    }
  }
}

/** Whether `object` is known to be newer than `resourceVersion`. */
function isNewer(object: KubeObject, resourceVersion: string | undefined): boolean {
  const order = compareResourceVersions(object.metadata.resourceVersion, resourceVersion);
  return order !== undefined && order > 0;
}

function sameVersion(left: KubeObject, right: KubeObject): boolean {
  const { uid, resourceVersion } = left.metadata;
  return (
    resourceVersion !== undefined &&
    resourceVersion === right.metadata.resourceVersion &&
    uid === right.metadata.uid
  );
}
