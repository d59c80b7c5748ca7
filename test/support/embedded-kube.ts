import type {
  CallOptions,
  JsonPatchOperation,
  KubeClient,
  ListPage,
  Patch,
  Selection,
  WatchEvent,
  WriteOptions,
} from "../../src/kube/client.ts";
import { KubeError } from "../../src/kube/errors.ts";
import { createKubeClientOver, type KubeTransport } from "../../src/kube/http-client.ts";
import {
  keyString,
  type KubeObject,
  objectKey,
  type ObjectKey,
  type ResourceType,
} from "../../src/kube/objects.ts";
import { answerError } from "../../src/kube/status.ts";
import type { HttpRequest } from "../../src/kube/transport.ts";
import type { ApiResponse, LineStream } from "../../src/local/kubernetes/api-request.ts";
import { createApiServer, type ApiServer } from "../../src/local/kubernetes/api-server.ts";
import type { JsonObject } from "../../src/local/kubernetes/json.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { seededRandom } from "../simulation/random.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { WatchStream } from "./watch-stream.ts";

const TOKEN = "embedded";

/** One call, as the hooks of a test see it. */
export interface KubeCall {
  readonly verb: "get" | "list" | "watch" | "create" | "replace" | "patch" | "delete";
  readonly type: ResourceType;
  /** `namespace/name`; absent for lists and watches. */
  readonly key?: string;
  readonly subresource?: "status";
  /** Of a JSON patch; empty for every other call. */
  readonly operations: readonly JsonPatchOperation[];
}

/**
 * The product's own Kubernetes client on the embedded API server, in this process and without sockets. Hooks stand between
 * a caller and the server; watches can be ended, silenced and made too old. Server and client have a clock that stands still, so that
 * their bookmarks, timeouts and pauses do not mix with the timers of a test.
 */
export class EmbeddedKube implements KubeClient {
  /** Called before each call; what it throws is the answer, and a promise that it returns is waited for. */
  before: (call: KubeCall) => Promise<void> | void = () => {};
  /** Called after each write took effect, before its answer; throwing loses the answer. */
  after: (call: KubeCall) => Promise<void> | void = () => {};
  readonly calls: KubeCall[] = [];
  readonly server: ApiServer;
  readonly #client: KubeClient;
  readonly #watches = new Set<WatchStream>();
  #isSilent = false;

  /** @param setup namespaces that there are, beside `default`; CRDs that are served */
  constructor({
    namespaces = [],
    crds = [],
  }: { readonly namespaces?: readonly string[]; readonly crds?: readonly JsonObject[] } = {}) {
    const clock = new VirtualClock();
    const random = seededRandom(1);
    this.server = createApiServer({
      clock,
      random,
      crds,
      users: [{ name: "tester", groups: ["system:masters"], token: TOKEN }],
    });
    const transport: KubeTransport = {
      call: async (request) => {
        const { body } = this.#handle(request);
        return typeof body === "string" && body !== "" ? (JSON.parse(body) as unknown) : undefined;
      },
      open: async (request, signal) => this.#open(request, signal),
      close: async () => {},
      unreachable: (_request, thrown) => (thrown instanceof KubeError ? thrown : unreachable()),
    };
    this.#client = createKubeClientOver(transport, {
      clock,
      random,
      logger: silentLogger,
      fieldManager: "tests",
    });
    for (const name of namespaces) {
      const body = JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
      this.#handle({ method: "POST", path: "/api/v1/namespaces", body, contentType: "application/json" });
    }
  }

  get watcherCount(): number {
    return this.#watches.size;
  }

  /** Forgets all history: watches and further pages from before now are too old. */
  compact(): void {
    this.server.store.compact();
  }

  /** Ends all watches, in order or with an error. */
  endWatches(end: { readonly error?: unknown } = {}): void {
    for (const watch of this.#watches) {
      watch.end(end.error);
    }
  }

  /** Tells all watches the newest revision, which the server does at times. */
  bookmark(): void {
    const object = { metadata: { name: "", resourceVersion: String(this.server.store.revision) } };
    for (const watch of this.#watches) {
      watch.push(`${JSON.stringify({ type: "BOOKMARK", object })}\n`);
    }
  }

  /** Makes changes of which no watch hears, ever. */
  async unnoticed(changes: () => Promise<unknown>): Promise<void> {
    this.#isSilent = true;
    try {
      await changes();
    } finally {
      this.#isSilent = false;
    }
  }

  async get<T extends KubeObject>(type: ResourceType, key: ObjectKey, options?: CallOptions): Promise<T> {
    await this.#enter({ verb: "get", type, key: keyString(key), operations: [] }, options);
    return await this.#client.get<T>(type, key);
  }

  async list<T extends KubeObject>(
    type: ResourceType,
    options: Selection & { readonly limit?: number; readonly continue?: string } = {},
  ): Promise<ListPage<T>> {
    await this.#enter({ verb: "list", type, operations: [] }, options);
    return await this.#client.list<T>(type, options);
  }

  create<T extends KubeObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T> {
    const call: KubeCall = { verb: "create", type, key: keyString(objectKey(object)), operations: [] };
    return this.#write(call, options, () => this.#client.create(type, object, options));
  }

  replace<T extends KubeObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T> {
    const call: KubeCall = { verb: "replace", type, key: keyString(objectKey(object)), operations: [] };
    return this.#write(call, options, () => this.#client.replace(type, object, options));
  }

  patch<T extends KubeObject>(
    type: ResourceType,
    key: ObjectKey,
    patch: Patch,
    options: WriteOptions = {},
  ): Promise<T> {
    const call: KubeCall = {
      verb: "patch",
      type,
      key: keyString(key),
      operations: patch.type === "json" ? patch.operations : [],
      ...(options.subresource === undefined ? {} : { subresource: options.subresource }),
    };
    return this.#write(call, options, () => this.#client.patch<T>(type, key, patch, options));
  }

  delete(
    type: ResourceType,
    key: ObjectKey,
    options?: CallOptions & { readonly uid?: string },
  ): Promise<void> {
    const call: KubeCall = { verb: "delete", type, key: keyString(key), operations: [] };
    return this.#write(call, options, () => this.#client.delete(type, key, options));
  }

  async *watch<T extends KubeObject>(
    type: ResourceType,
    options: Selection & { readonly resourceVersion: string; readonly timeoutSeconds: number },
  ): AsyncGenerator<WatchEvent<T>> {
    await this.#enter({ verb: "watch", type, operations: [] }, options);
    yield* this.#client.watch<T>(type, options);
  }

  async #write<Result>(
    call: KubeCall,
    options: CallOptions | undefined,
    carryOut: () => Promise<Result>,
  ): Promise<Result> {
    await this.#enter(call, options);
    const result = await carryOut();
    await this.after(call);
    return result;
  }

  /** Runs the hook, so that a hook that waits is ended by the caller's signal as a real call is. */
  async #enter(call: KubeCall, options: CallOptions | undefined): Promise<void> {
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

  #handle({ method, path, body, contentType }: HttpRequest): ApiResponse {
    const [pathname = "", query = ""] = path.split("?", 2);
    const response = this.server.handle({
      method,
      path: pathname,
      query: new URLSearchParams(query),
      headers: { authorization: `Bearer ${TOKEN}`, accept: "application/json", "content-type": contentType },
      body: body ?? "",
    });
    if (response.status < 200 || response.status > 299) {
      throw answerError(typeof response.body === "string" ? response.body : "", {
        code: response.status,
        request: `${method} ${path}`,
      });
    }
    return response;
  }

  #open(request: HttpRequest, signal: AbortSignal): WatchStream {
    const stream = new WatchStream();
    const stop = (this.#handle(request).body as LineStream).start({
      write: (line) => {
        if (!this.#isSilent) {
          stream.push(line);
        }
      },
      end: () => stream.end(),
    });
    this.#watches.add(stream);
    stream.onDestroy = () => {
      stop();
      this.#watches.delete(stream);
    };
    signal.addEventListener("abort", () => stream.end(signal.reason), { once: true });
    return stream;
  }
}

export function unreachable(): KubeError {
  return new KubeError({ reason: "Unreachable", status: 0, message: "the API server does not answer" });
}

export function forbidden(): KubeError {
  return new KubeError({ reason: "Forbidden", status: 403, message: "satellites is forbidden" });
}
