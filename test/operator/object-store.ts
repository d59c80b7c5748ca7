import { join } from "node:path";
import { readCrdFile, resourcesOf } from "../../src/local/kubernetes/crd.ts";
import { fieldErrorLine } from "../../src/local/kubernetes/field-error.ts";
import { asObject, type JsonObject } from "../../src/local/kubernetes/json.ts";
import { validateSchema } from "../../src/local/kubernetes/schema-validation.ts";
import type { JsonPatchOperation, KubeClient, ListPage, Patch, WriteOptions } from "../../src/kube/client.ts";
import { KubeError } from "../../src/kube/errors.ts";
import {
  keyString,
  type KubeObject,
  type ObjectKey,
  objectKey,
  type ResourceType,
} from "../../src/kube/objects.ts";
import { promised } from "./fixtures.ts";

type Json = Record<string, unknown>;

/**
 * Objects in memory behind the client that the operator uses: JSON patches with their tests, the status
 * subresource, generations, and deletion that waits for finalizers. It stands in for nothing beyond these tests.
 */
export class ObjectStore implements KubeClient {
  readonly #objects = new Map<string, KubeObject>();
  #version = 1;
  /** Called before each patch; throwing refuses it. */
  beforePatch: (key: ObjectKey, operations: readonly JsonPatchOperation[]) => void = () => {};
  /** Takes out of an object what the CRD does not know, before it is stored. */
  prune: (object: KubeObject) => void = () => {};
  patches = 0;

  put<T extends KubeObject>(type: ResourceType, object: T): T {
    const stored = structuredClone(object);
    stored.metadata.resourceVersion = String(++this.#version);
    this.#objects.set(idOf(type, objectKey(object)), stored);
    return structuredClone(stored);
  }

  /** The object, or undefined when it is gone. */
  find(type: ResourceType, key: ObjectKey): KubeObject | undefined {
    return structuredClone(this.#objects.get(idOf(type, key)));
  }

  /** Changes an object as a person does: a change of the spec is a new generation. */
  edit<T extends KubeObject>(type: ResourceType, key: ObjectKey, change: (object: T) => void): T {
    const before = this.#require(type, key);
    const after = structuredClone(before) as T;
    change(after);
    return this.#commit(type, key, before, after) as T;
  }

  get<T extends KubeObject>(type: ResourceType, key: ObjectKey): Promise<T> {
    return promised(() => structuredClone(this.#require(type, key)) as T);
  }

  list<T extends KubeObject>(type: ResourceType): Promise<ListPage<T>> {
    const items = [...this.#objects]
      .filter(([id]) => id.startsWith(`${type.plural}/`))
      .map(([, object]) => structuredClone(object) as T);
    return Promise.resolve({ items, resourceVersion: String(this.#version) });
  }

  patch<T extends KubeObject>(
    type: ResourceType,
    key: ObjectKey,
    patch: Patch,
    options: WriteOptions = {},
  ): Promise<T> {
    return promised(() => {
      if (patch.type !== "json") {
        throw refusal("UnsupportedMediaType", 415, "only JSON patches");
      }
      this.beforePatch(key, patch.operations);
      this.patches += 1;
      const before = this.#require(type, key);
      const patched = structuredClone(before);
      for (const operation of patch.operations) {
        apply(patched as unknown as Json, operation);
      }
      const isStatus = options.subresource === "status";
      const after = isStatus ? withStatusOf(before, patched) : withStatusOf(patched, before);
      if (isStatus) {
        requireValidStatus(type, after, before);
      }
      return this.#commit(type, key, before, after) as T;
    });
  }

  create<T extends KubeObject>(type: ResourceType, object: T): Promise<T> {
    return Promise.resolve(this.put(type, object));
  }

  replace(): Promise<never> {
    return Promise.reject(new Error("not used"));
  }

  delete(type: ResourceType, key: ObjectKey): Promise<void> {
    return promised(() => {
      this.edit(type, key, (object) => {
        object.metadata.deletionTimestamp = "2026-01-01T00:00:00Z";
      });
    });
  }

  watch(): AsyncIterable<never> {
    throw new Error("not used");
  }

  #require(type: ResourceType, key: ObjectKey): KubeObject {
    const object = this.#objects.get(idOf(type, key));
    if (object === undefined) {
      throw refusal("NotFound", 404, `${type.plural} ${keyString(key)} not found`);
    }
    return object;
  }

  #commit(type: ResourceType, key: ObjectKey, before: KubeObject, after: KubeObject): KubeObject {
    const changed = structuredClone(after);
    this.prune(changed);
    if (canonical(changed) === canonical(before)) {
      // The API server stores nothing where nothing is new.
      return structuredClone(before);
    }
    if (JSON.stringify(specOf(before)) !== JSON.stringify(specOf(changed))) {
      changed.metadata.generation = (before.metadata.generation ?? 0) + 1;
    }
    changed.metadata.resourceVersion = String(++this.#version);
    const isGone =
      changed.metadata.deletionTimestamp !== undefined && (changed.metadata.finalizers ?? []).length === 0;
    if (isGone) {
      this.#objects.delete(idOf(type, key));
    } else {
      this.#objects.set(idOf(type, key), changed);
    }
    return structuredClone(changed);
  }
}

const idOf = (type: ResourceType, key: ObjectKey): string => `${type.plural}/${keyString(key)}`;
const specOf = (object: KubeObject): unknown => (object as { spec?: unknown }).spec;

/** What the CRDs say of the two kinds. */
const RESOURCES = ["satellites", "satelliteclasses"].flatMap((plural) =>
  resourcesOf(readCrdFile(join(import.meta.dirname, `../../crds/${plural}.satellites.dev.yaml`))),
);

/** @throws KubeError 422 with causes, as the API server, when the status does not fit the CRD's schema */
function requireValidStatus({ plural }: ResourceType, after: KubeObject, before: KubeObject): void {
  const schema = RESOURCES.find((resource) => resource.plural === plural)?.schema.properties?.["status"];
  if (schema === undefined) {
    throw new Error(`there is no CRD for ${plural}`);
  }
  const [status, old] = [after, before].map((object) =>
    asObject((object as unknown as JsonObject)["status"]),
  );
  const errors = validateSchema(status ?? {}, schema, "status", old);
  if (errors.length > 0) {
    throw new KubeError({
      reason: "Invalid",
      status: 422,
      message: errors.map(fieldErrorLine).join(", "),
      causes: errors.map((error) => ({ field: error.field, message: fieldErrorLine(error) })),
    });
  }
}

function withStatusOf(object: KubeObject, from: KubeObject): KubeObject {
  return { ...object, ...("status" in from ? { status: from.status } : {}) };
}

function refusal(reason: string, status: number, message: string): KubeError {
  return new KubeError({ reason, status, message });
}

/** Applies one operation (RFC 6902) in place; a failed test is refused as the API server refuses it. */
function apply(root: Json, operation: JsonPatchOperation): void {
  const tokens = operation.path
    .split("/")
    .slice(1)
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = tokens.pop() ?? "";
  let parent: unknown = root;
  for (const token of tokens) {
    parent = typeof parent === "object" && parent !== null ? (parent as Json)[token] : undefined;
  }
  if (typeof parent !== "object" || parent === null) {
    throw refusal("Invalid", 422, `${operation.path} has no parent`);
  }
  const target = parent as Json;
  switch (operation.op) {
    case "test":
      if (canonical(target[last]) !== canonical(operation.value)) {
        throw refusal("Invalid", 422, `test of ${operation.path} failed`);
      }
      return;
    case "remove":
      if (!(last in target)) {
        throw refusal("Invalid", 422, `${operation.path} does not exist`);
      }
      if (Array.isArray(parent)) {
        parent.splice(Number(last), 1);
      } else {
        delete target[last];
      }
      return;
    case "add":
    case "replace":
      if (Array.isArray(parent) && last === "-") {
        parent.push(operation.value);
      } else {
        target[last] = structuredClone(operation.value);
      }
  }
}

/** JSON with members in order, so that equal values are equal texts. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
