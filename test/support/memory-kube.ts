import type {
  CallOptions,
  KubeClient,
  ListPage,
  Patch,
  Selection,
  WatchEvent,
  WriteOptions,
} from "../../src/kube/client.ts";
import { KubeError } from "../../src/kube/errors.ts";
import {
  keyString,
  type KubeObject,
  objectKey,
  type ObjectKey,
  type ResourceType,
} from "../../src/kube/objects.ts";
import { collectionPath } from "../../src/kube/paths.ts";

/** A call as a fault hook sees it. */
export interface MemoryCall {
  readonly verb: "get" | "list" | "watch" | "create" | "replace" | "patch" | "delete";
  readonly type: ResourceType;
  readonly key?: ObjectKey;
}

interface Change {
  readonly version: number;
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly event: WatchEvent<KubeObject>;
}

interface Watcher {
  readonly collection: string;
  readonly namespace: string | undefined;
  readonly queue: WatchEvent<KubeObject>[];
  wake: () => void;
  end: { readonly error?: unknown } | undefined;
}

const refuse = (status: number, reason: string, message: string): KubeError =>
  new KubeError({ status, reason, message });

function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) {
    return patch;
  }
  const result: Record<string, unknown> = { ...(typeof target === "object" ? target : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) {
      delete result[key];
    } else {
      result[key] = mergePatch(result[key], value);
    }
  }
  return result;
}

/**
 * A KubeClient over a store in memory, for tests of what stands on the client: resource versions, conflicts,
 * pages, and watches that can be cut, silenced and expired. It stands in for nothing beyond these tests.
 */
export class MemoryKube implements KubeClient {
  /** Called before each call; what it throws, or a promise that it returns, stands between caller and store. */
  before: (call: MemoryCall) => Promise<void> | void = () => {};
  /** Called after each write took effect, before its answer; throwing loses the answer. */
  after: (call: MemoryCall) => Promise<void> | void = () => {};
  readonly calls: MemoryCall[] = [];
  #version = 100;
  #oldest = 0;
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #history: Change[] = [];
  readonly #watchers = new Set<Watcher>();

  /** Version of the last change. */
  get resourceVersion(): string {
    return String(this.#version);
  }

  get watcherCount(): number {
    return this.#watchers.size;
  }

  /** Forgets all history: watches from before now answer 410. */
  compact(): void {
    this.#oldest = this.#version;
    this.#history.length = 0;
  }

  /** Ends all watches, in order or with an error. */
  endWatches(end: { readonly error?: unknown } = {}): void {
    for (const watcher of this.#watchers) {
      watcher.end = end;
      watcher.wake();
    }
  }

  bookmark(): void {
    const object = { metadata: { name: "", resourceVersion: this.resourceVersion } };
    for (const watcher of this.#watchers) {
      watcher.queue.push({ type: "BOOKMARK", object });
      watcher.wake();
    }
  }

  /** Removes an object without any watch hearing of it, ever. */
  vanish(type: ResourceType, key: ObjectKey): void {
    this.#version += 1;
    this.#collection(type).delete(keyString(key));
  }

  async get<T extends KubeObject>(type: ResourceType, key: ObjectKey, options?: CallOptions): Promise<T> {
    await this.#enter({ verb: "get", type, key }, options);
    return structuredClone(this.#find(type, key)) as T;
  }

  async list<T extends KubeObject>(
    type: ResourceType,
    options: Selection & { readonly limit?: number; readonly continue?: string } = {},
  ): Promise<ListPage<T>> {
    await this.#enter({ verb: "list", type }, options);
    const [version, start] = (options.continue ?? `${this.#version}:0`).split(":").map(Number) as [
      number,
      number,
    ];
    if (version < this.#oldest) {
      throw refuse(410, "Expired", "the continue token is too old");
    }
    const all = [...this.#collection(type).values()].filter(
      ({ metadata }) => options.namespace === undefined || metadata.namespace === options.namespace,
    );
    const end = start + (options.limit ?? all.length);
    return {
      items: structuredClone(all.slice(start, end)) as T[],
      resourceVersion: String(version),
      ...(end < all.length ? { continue: `${version}:${end}` } : {}),
    };
  }

  async create<T extends KubeObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T> {
    const key = objectKey(object);
    await this.#enter({ verb: "create", type, key }, options);
    if (this.#collection(type).has(keyString(key))) {
      throw refuse(409, "AlreadyExists", `${keyString(key)} exists`);
    }
    const stored = this.#store(type, "ADDED", {
      ...object,
      metadata: { ...object.metadata, uid: `uid-${this.#version + 1}` },
    });
    await this.after({ verb: "create", type, key });
    return structuredClone(stored) as T;
  }

  async replace<T extends KubeObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T> {
    const key = objectKey(object);
    await this.#enter({ verb: "replace", type, key }, options);
    const current = this.#find(type, key);
    const expected = object.metadata.resourceVersion;
    if (expected !== undefined && expected !== current.metadata.resourceVersion) {
      throw refuse(409, "Conflict", `${keyString(key)} was changed meanwhile`);
    }
    const stored = this.#store(type, "MODIFIED", object);
    await this.after({ verb: "replace", type, key });
    return structuredClone(stored) as T;
  }

  async patch<T extends KubeObject>(
    type: ResourceType,
    key: ObjectKey,
    patch: Patch,
    options?: WriteOptions,
  ): Promise<T> {
    await this.#enter({ verb: "patch", type, key }, options);
    if (patch.type === "json") {
      throw refuse(415, "UnsupportedMediaType", "this store takes merge patches only");
    }
    const changed = mergePatch(this.#find(type, key), patch.body) as T;
    const stored = this.#store(type, "MODIFIED", changed);
    await this.after({ verb: "patch", type, key });
    return structuredClone(stored) as T;
  }

  async delete(type: ResourceType, key: ObjectKey, options?: CallOptions & { uid?: string }): Promise<void> {
    await this.#enter({ verb: "delete", type, key }, options);
    const current = this.#find(type, key);
    this.#store(type, "DELETED", current);
    await this.after({ verb: "delete", type, key });
  }

  async *watch<T extends KubeObject>(
    type: ResourceType,
    options: Selection & { readonly resourceVersion: string; readonly timeoutSeconds: number },
  ): AsyncGenerator<WatchEvent<T>> {
    await this.#enter({ verb: "watch", type }, options);
    const since = Number(options.resourceVersion);
    if (since < this.#oldest) {
      throw refuse(410, "Expired", "too old resource version");
    }
    const collection = collectionPath(type);
    const matches = (change: Pick<Change, "collection" | "namespace">): boolean =>
      change.collection === collection &&
      (options.namespace === undefined || change.namespace === options.namespace);
    const watcher: Watcher = {
      collection,
      namespace: options.namespace,
      queue: this.#history
        .filter((change) => change.version > since && matches(change))
        .map(({ event }) => event),
      wake: () => {},
      end: undefined,
    };
    this.#watchers.add(watcher);
    const onAbort = (): void => {
      watcher.end = { error: options.signal?.reason };
      watcher.wake();
    };
    options.signal?.addEventListener("abort", onAbort, { once: true });
    try {
      for (;;) {
        const event = watcher.queue.shift();
        if (event !== undefined) {
          yield structuredClone(event) as WatchEvent<T>;
        } else if (watcher.end !== undefined) {
          if (watcher.end.error !== undefined) {
            throw watcher.end.error;
          }
          return;
        } else {
          await new Promise<void>((resolve) => {
            watcher.wake = resolve;
          });
        }
      }
    } finally {
      options.signal?.removeEventListener("abort", onAbort);
      this.#watchers.delete(watcher);
    }
  }

  /** Runs the hook, so that a hook that waits is ended by the caller's signal as a real call is. */
  async #enter(call: MemoryCall, options: CallOptions | undefined): Promise<void> {
    options?.signal?.throwIfAborted();
    this.calls.push(call);
    const hook = Promise.resolve(this.before(call));
    const signal = options?.signal;
    if (signal === undefined) {
      await hook;
      return;
    }
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await Promise.race([hook, promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  #collection(type: ResourceType): Map<string, KubeObject> {
    const path = collectionPath(type);
    const objects = this.#objects.get(path) ?? new Map<string, KubeObject>();
    this.#objects.set(path, objects);
    return objects;
  }

  #find(type: ResourceType, key: ObjectKey): KubeObject {
    const object = this.#collection(type).get(keyString(key));
    if (object === undefined) {
      throw refuse(404, "NotFound", `${type.plural} "${key.name}" not found`);
    }
    return object;
  }

  #store(type: ResourceType, event: "ADDED" | "MODIFIED" | "DELETED", object: KubeObject): KubeObject {
    this.#version += 1;
    const key = keyString(objectKey(object));
    const stored = structuredClone(object);
    stored.metadata.resourceVersion = String(this.#version);
    if (event === "DELETED") {
      this.#collection(type).delete(key);
    } else {
      this.#collection(type).set(key, stored);
    }
    const change: Change = {
      version: this.#version,
      collection: collectionPath(type),
      namespace: stored.metadata.namespace,
      event: { type: event, object: structuredClone(stored) },
    };
    this.#history.push(change);
    for (const watcher of this.#watchers) {
      const inScope = watcher.namespace === undefined || watcher.namespace === change.namespace;
      if (watcher.collection === change.collection && inScope) {
        watcher.queue.push(change.event);
        watcher.wake();
      }
    }
    return stored;
  }
}
