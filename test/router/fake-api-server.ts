import type { ObjectCache } from "../../src/kube/cache.ts";
import type {
  JsonPatchOperation,
  KubeClient,
  ListPage,
  Patch,
  WatchEvent,
  WriteOptions,
} from "../../src/kube/client.ts";
import { KubeError } from "../../src/kube/errors.ts";
import {
  keyString,
  objectKey,
  type KubeObject,
  type ObjectKey,
  type ResourceType,
} from "../../src/kube/objects.ts";
import { sameJson } from "../../src/satellite/status-patch.ts";
import type { Satellite } from "../../src/satellite/types.ts";

/** One call that reached the server. */
export interface ApiCall {
  readonly verb: "get" | "patch";
  readonly key: string;
  readonly subresource?: "status";
  readonly operations: readonly JsonPatchOperation[];
}

/** What a test makes of a call: let it through, or throw; `after` runs when it has taken effect. */
export type Interceptor = (call: ApiCall) => void | Promise<void>;

/**
 * Satellites in memory behind the KubeClient port, with the semantics that the power protocol stands on: JSON patches are
 * all or nothing, a failed test is HTTP 422, a change of the spec raises the generation, every change raises the resource version and writes that change nothing do
 * not, the status subresource changes only the status. Watches are the caches that a test connects.
 */
export class FakeApiServer implements KubeClient {
  readonly calls: ApiCall[] = [];
  /** Runs before a call takes effect; a throw is the server's answer. */
  before: Interceptor = () => {};
  /** Runs after a call took effect and before its answer; a throw loses the answer. */
  after: Interceptor = () => {};
  readonly #objects = new Map<string, Satellite>();
  readonly #caches = new Set<ObjectCache<Satellite>>();
  #version = 100;

  /** Sends every later change to the cache at once, as a watch without delay. */
  connect(cache: ObjectCache<Satellite>): () => void {
    this.#caches.add(cache);
    cache.replaceAll([...this.#objects.values()], String(this.#version));
    return () => this.#caches.delete(cache);
  }

  read(key: string): Satellite {
    const object = this.#objects.get(key);
    if (object === undefined) {
      throw notFound(key);
    }
    return structuredClone(object);
  }

  /** Creates or changes an object as somebody else would. */
  put(satellite: Satellite): void {
    this.#store(structuredClone(satellite));
  }

  /** Changes an object as the operator or a person would. */
  change(key: string, change: (satellite: Satellite) => void): void {
    const satellite = this.read(key);
    change(satellite);
    this.#store(satellite);
  }

  remove(key: string): void {
    const object = this.read(key);
    this.#objects.delete(key);
    object.metadata.resourceVersion = String(++this.#version);
    for (const cache of this.#caches) {
      cache.observeDeletion(object);
    }
  }

  /** Patches of `spec.desiredPower` that arrived. */
  get wakeCalls(): ApiCall[] {
    return this.calls.filter(({ verb, subresource }) => verb === "patch" && subresource === undefined);
  }

  /** Patches of the status that arrived. */
  get statusCalls(): ApiCall[] {
    return this.calls.filter(({ subresource }) => subresource === "status");
  }

  async get<T extends KubeObject>(_type: ResourceType, key: ObjectKey): Promise<T> {
    const call: ApiCall = { verb: "get", key: keyString(key), operations: [] };
    this.calls.push(call);
    await this.before(call);
    return this.read(call.key) as KubeObject as T;
  }

  async patch<T extends KubeObject>(
    _type: ResourceType,
    key: ObjectKey,
    patch: Patch,
    options: WriteOptions = {},
  ): Promise<T> {
    if (patch.type !== "json") {
      throw new Error("only JSON patches are written");
    }
    const { subresource } = options;
    const call: ApiCall = {
      verb: "patch",
      key: keyString(key),
      operations: patch.operations,
      ...(subresource === undefined ? {} : { subresource }),
    };
    this.calls.push(call);
    await this.before(call);
    const before = this.read(call.key);
    const patched = structuredClone(before);
    for (const operation of call.operations) {
      apply(patched as unknown as Record<string, unknown>, operation, call.key);
    }
    const changed =
      subresource === "status"
        ? { ...before, status: patched.status }
        : { ...patched, status: before.status };
    const stored = this.#store(changed);
    await this.after(call);
    return structuredClone(stored) as KubeObject as T;
  }

  list<T extends KubeObject>(): Promise<ListPage<T>> {
    throw new Error("not used");
  }
  create<T extends KubeObject>(): Promise<T> {
    throw new Error("not used");
  }
  replace<T extends KubeObject>(): Promise<T> {
    throw new Error("not used");
  }
  delete(): Promise<void> {
    throw new Error("not used");
  }
  watch<T extends KubeObject>(): AsyncIterable<WatchEvent<T>> {
    throw new Error("not used");
  }

  #store(satellite: Satellite): Satellite {
    const key = keyString(objectKey(satellite));
    const before = this.#objects.get(key);
    if (before !== undefined && sameJson(before, satellite)) {
      return before;
    }
    if (before === undefined || !sameJson(before.spec, satellite.spec)) {
      satellite.metadata.generation = (before?.metadata.generation ?? 0) + 1;
    }
    satellite.metadata.resourceVersion = String(++this.#version);
    this.#objects.set(key, satellite);
    for (const cache of this.#caches) {
      cache.observe(structuredClone(satellite));
    }
    return satellite;
  }
}

export function notFound(key: string): KubeError {
  return new KubeError({ reason: "NotFound", status: 404, message: `satellites "${key}" not found` });
}

export function unreachable(): KubeError {
  return new KubeError({ reason: "Unreachable", status: 0, message: "the API server does not answer" });
}

export function forbidden(): KubeError {
  return new KubeError({ reason: "Forbidden", status: 403, message: "satellites is forbidden" });
}

function invalid(key: string): KubeError {
  return new KubeError({
    reason: "Invalid",
    status: 422,
    message: `the server rejected our request due to an error in our request: ${key}`,
  });
}

/** RFC 6902, for objects only. */
function apply(root: Record<string, unknown>, operation: JsonPatchOperation, key: string): void {
  const path = operation.path
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = path.pop() ?? "";
  let parent: unknown = root;
  for (const token of path) {
    parent = (parent as Record<string, unknown> | undefined)?.[token];
  }
  if (typeof parent !== "object" || parent === null) {
    throw invalid(key);
  }
  const members = parent as Record<string, unknown>;
  if (operation.op === "test") {
    if (!(last in members) || !sameJson(members[last], operation.value)) {
      throw invalid(key);
    }
  } else if (operation.op === "add") {
    members[last] = operation.value;
  } else if (operation.op === "remove" && last in members) {
    delete members[last];
  } else {
    throw invalid(key);
  }
}
