import type {
  CallOptions,
  KubeClient,
  ListPage,
  Patch,
  Selection,
  WatchEvent,
  WriteOptions,
} from "../../../src/kube/client.ts";
import {
  keyString,
  objectKey,
  type KubeObject,
  type ObjectKey,
  type ResourceType,
} from "../../../src/kube/objects.ts";

/** One write that was sent. */
export interface Write {
  readonly verb: "create" | "replace" | "patch" | "delete";
  readonly kind: string;
  readonly key: string;
}

const REVIEWS: ReadonlySet<string> = new Set(["TokenReview", "SubjectAccessReview"]);

/** A client that keeps a list of what it was asked to write, and passes everything on. */
export class RecordingClient implements KubeClient {
  readonly writes: Write[] = [];
  readonly #client: KubeClient;

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /** Writes that are no reviews. */
  get changes(): Write[] {
    return this.writes.filter(({ kind }) => !REVIEWS.has(kind));
  }

  get reviews(): Write[] {
    return this.writes.filter(({ kind }) => REVIEWS.has(kind));
  }

  get<T extends KubeObject>(type: ResourceType, key: ObjectKey, options?: CallOptions): Promise<T> {
    return this.#client.get(type, key, options);
  }

  list<T extends KubeObject>(
    type: ResourceType,
    options?: Selection & { readonly limit?: number; readonly continue?: string },
  ): Promise<ListPage<T>> {
    return this.#client.list(type, options);
  }

  create<T extends KubeObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T> {
    this.writes.push({ verb: "create", kind: type.kind, key: keyString(objectKey(object)) });
    return this.#client.create(type, object, options);
  }

  replace<T extends KubeObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T> {
    this.writes.push({ verb: "replace", kind: type.kind, key: keyString(objectKey(object)) });
    return this.#client.replace(type, object, options);
  }

  patch<T extends KubeObject>(
    type: ResourceType,
    key: ObjectKey,
    patch: Patch,
    options?: WriteOptions,
  ): Promise<T> {
    this.writes.push({ verb: "patch", kind: type.kind, key: keyString(key) });
    return this.#client.patch(type, key, patch, options);
  }

  delete(
    type: ResourceType,
    key: ObjectKey,
    options?: CallOptions & { readonly uid?: string },
  ): Promise<void> {
    this.writes.push({ verb: "delete", kind: type.kind, key: keyString(key) });
    return this.#client.delete(type, key, options);
  }

  watch<T extends KubeObject>(
    type: ResourceType,
    options: Selection & { readonly resourceVersion: string; readonly timeoutSeconds: number },
  ): AsyncIterable<WatchEvent<T>> {
    return this.#client.watch(type, options);
  }
}
