import type { KubeObject, ObjectKey, ResourceType } from "./objects.ts";

/** One operation of a JSON patch (RFC 6902), as far as the product writes them. */
export type JsonPatchOperation =
  | { readonly op: "add" | "replace" | "test"; readonly path: string; readonly value: unknown }
  | { readonly op: "remove"; readonly path: string };

/** A change to an object. */
export type Patch =
  | { readonly type: "json"; readonly operations: readonly JsonPatchOperation[] }
  | { readonly type: "merge"; readonly body: Readonly<Record<string, unknown>> };

/** Options that every call takes. */
export interface CallOptions {
  /** Ends the call early; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Milliseconds after which the call is given up (its outcome is then unknown). Default 10 s. */
  readonly timeoutMs?: number;
  /** Goes over a connection that other calls do not use, so that it does not wait behind them. For leader election. */
  readonly urgent?: boolean;
}

/** Options of writes. */
export interface WriteOptions extends CallOptions {
  /** `status` writes the status subresource. */
  readonly subresource?: "status";
  /** Recorded by the API server as the author of the change. */
  readonly fieldManager?: string;
}

/** What to list or watch. */
export interface Selection extends CallOptions {
  /** Only this namespace; all of them when absent. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** What is kept of each object, as it was sent. Default: all but `metadata.managedFields`. Keeps the resourceVersion. */
  readonly trim?: (object: KubeObject) => KubeObject;
}

/** One page of a list. */
export interface ListPage<T extends KubeObject> {
  readonly items: T[];
  /** Version from which a watch may continue. */
  readonly resourceVersion: string;
  /** Token for the next page; absent on the last one. */
  readonly continue?: string;
}

/** One line of a watch. `BOOKMARK` objects carry only a resourceVersion. */
export interface WatchEvent<T extends KubeObject> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
  readonly object: T;
}

/**
 * The API server as operator, router and plugin see it. Every method rejects with a `KubeError`
 * (errors.ts) when the server refuses or cannot be reached.
 */
export interface KubeClient {
  get<T extends KubeObject>(type: ResourceType, key: ObjectKey, options?: CallOptions): Promise<T>;

  /** One page; `limit` objects at most, going on at `continue`. */
  list<T extends KubeObject>(
    type: ResourceType,
    options?: Selection & { readonly limit?: number; readonly continue?: string },
  ): Promise<ListPage<T>>;

  create<T extends KubeObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T>;

  /** PUT: replaces the object; a `resourceVersion` in it makes the write conditional (409 on conflict). */
  replace<T extends KubeObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T>;

  patch<T extends KubeObject>(
    type: ResourceType,
    key: ObjectKey,
    patch: Patch,
    options?: WriteOptions,
  ): Promise<T>;

  /** Deletes the object; `uid` makes it conditional. */
  delete(
    type: ResourceType,
    key: ObjectKey,
    options?: CallOptions & { readonly uid?: string },
  ): Promise<void>;

  /**
   * Events after `resourceVersion`, with bookmarks. Ends when the server closes the stream (it does so after
   * `timeoutSeconds`); throws KubeError with reason `Expired` when the version is too old (HTTP 410), also
   * when that arrives as an ERROR event.
   */
  watch<T extends KubeObject>(
    type: ResourceType,
    options: Selection & { readonly resourceVersion: string; readonly timeoutSeconds: number },
  ): AsyncIterable<WatchEvent<T>>;
}
