import type { KubeConfig } from "@kubernetes/client-node";
import { backoffMs, type BackoffOptions, type Random } from "../base/backoff.ts";
import { type Clock, sleep } from "../base/clock.ts";
import type { ProxyRule } from "../base/proxy.ts";
import type { Logger } from "../telemetry/logger.ts";
import type {
  CallOptions,
  KubeClient,
  ListPage,
  Patch,
  Selection,
  WatchEvent,
  WriteOptions,
} from "./client.ts";
import { withDeadline } from "./deadline.ts";
import { KubeError } from "./errors.ts";
import { jsonLines } from "./json-lines.ts";
import type { KubeMetrics } from "./metrics.ts";
import {
  type KubeObject,
  objectKey,
  type ObjectKey,
  type ResourceType,
  withoutManagedFields,
} from "./objects.ts";
import { collectionPath, objectPath, withQuery } from "./paths.ts";
import { apiVersion, SERVICE_ACCOUNT } from "./resources.ts";
import { statusError } from "./status.ts";
import { type HttpRequest, Transport } from "./transport.ts";

/** What {@link createKubeClient} takes. */
export interface KubeClientOptions {
  /** Server, trust and credentials; from loadKubeConfig. */
  readonly config: KubeConfig;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: KubeMetrics;
  /** `User-Agent` of each request, which the server's audit log shows. */
  readonly userAgent: string;
  /** Field manager of writes that name none. */
  readonly fieldManager: string;
  /** At most so many connections for calls. Default 16. */
  readonly maxConnections?: number;
  /** Which proxy the server is reached through where the configuration names none. Default: none. */
  readonly proxyFor?: ProxyRule;
}

/** What a client sends its requests through: `Transport` over the network, or a simulation's own within one process. */
export type KubeTransport = Pick<Transport, "call" | "open" | "close" | "unreachable">;

/** A KubeClient that holds connections. */
export interface ConnectedKubeClient extends KubeClient {
  /**
   * A token of a service account for these audiences, good for an hour (TokenRequest, authentication.k8s.io/v1).
   *
   * @throws KubeError `Forbidden` without the right to `create` `serviceaccounts/token`, `NotFound` without the account
   */
  requestToken(account: ObjectKey, audiences: readonly string[], options?: CallOptions): Promise<string>;
  /** Ends all connections; calls and watches under way fail. */
  close(): Promise<void>;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_CONNECTIONS = 16;
/** A watch that the server has not ended this long after `timeoutSeconds` is ended by the client. */
const WATCH_GRACE_MS = 30_000;
const MAX_ATTEMPTS = 5;
const BACKOFF: BackoffOptions = { baseMs: 100, maxMs: 2_000, jitter: 0.5 };

const PATCH_TYPES = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
} as const;

/** Milliseconds after which a failed attempt may be made again, or undefined when it may not. */
function retryDelayMs(
  request: HttpRequest,
  error: unknown,
  attempt: number,
  random: Random,
): number | undefined {
  if (!(error instanceof KubeError) || attempt + 1 >= MAX_ATTEMPTS) {
    return undefined;
  }
  const backoff = backoffMs(attempt, BACKOFF, random);
  const asked = error.retryAfterSeconds === undefined ? undefined : error.retryAfterSeconds * 1000;
  // 429 says that nothing was done (priority and fairness turned the request away), so any method may be sent again.
  if (error.status === 429) {
    return Math.max(asked ?? 0, backoff);
  }
  // The outcome of a write without an answer is unknown; only the caller can find it out.
  if (request.method !== "GET") {
    return undefined;
  }
  if (error.status >= 500 && asked !== undefined) {
    return Math.max(asked, backoff);
  }
  return error.reason === "Unreachable" ? backoff : undefined;
}

/** How a client behaves, whatever it sends its requests through. */
export type KubeClientBehaviour = Pick<KubeClientOptions, "clock" | "random" | "logger" | "fieldManager">;

class HttpKubeClient implements ConnectedKubeClient {
  readonly #options: KubeClientBehaviour;
  readonly #transport: KubeTransport;

  constructor(options: KubeClientBehaviour, transport: KubeTransport) {
    this.#options = options;
    this.#transport = transport;
  }

  async get<T extends KubeObject>(type: ResourceType, key: ObjectKey, options?: CallOptions): Promise<T> {
    const answer = await this.#call({ method: "GET", path: objectPath(type, key) }, options);
    return withoutManagedFields(answer as T);
  }

  async list<T extends KubeObject>(
    type: ResourceType,
    options: Selection & { readonly limit?: number; readonly continue?: string } = {},
  ): Promise<ListPage<T>> {
    const path = withQuery(collectionPath(type, options.namespace), {
      labelSelector: options.labelSelector,
      fieldSelector: options.fieldSelector,
      limit: options.limit,
      continue: options.continue,
    });
    const answer = (await this.#call({ method: "GET", path }, options)) as {
      items: T[] | null;
      metadata: { resourceVersion?: string; continue?: string };
    };
    const items = (answer.items ?? []).map((item) => (options.trim ?? withoutManagedFields)(item) as T);
    for (const item of items) {
      // Items in a list of a built-in type lack both fields; those of a watch have them.
      item.apiVersion ??= apiVersion(type);
      item.kind ??= type.kind;
    }
    const next = answer.metadata.continue;
    return {
      items,
      resourceVersion: answer.metadata.resourceVersion ?? "",
      ...(next === undefined || next === "" ? {} : { continue: next }),
    };
  }

  async create<T extends KubeObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T> {
    const path = collectionPath(type, object.metadata.namespace);
    return await this.#write<T>("POST", path, this.#typed(type, object), "application/json", options);
  }

  async requestToken(
    account: ObjectKey,
    audiences: readonly string[],
    options?: CallOptions,
  ): Promise<string> {
    const path = `${objectPath(SERVICE_ACCOUNT, account)}/token`;
    const body = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { audiences } };
    const { status } = await this.#write<KubeObject & { readonly status: { readonly token: string } }>(
      "POST",
      path,
      body,
      "application/json",
      options,
    );
    return status.token;
  }

  async replace<T extends KubeObject>(type: ResourceType, object: T, options?: WriteOptions): Promise<T> {
    const path = objectPath(type, objectKey(object));
    return await this.#write<T>("PUT", path, this.#typed(type, object), "application/json", options);
  }

  async patch<T extends KubeObject>(
    type: ResourceType,
    key: ObjectKey,
    patch: Patch,
    options?: WriteOptions,
  ): Promise<T> {
    const body = patch.type === "json" ? patch.operations : patch.body;
    return await this.#write<T>("PATCH", objectPath(type, key), body, PATCH_TYPES[patch.type], options);
  }

  async delete(
    type: ResourceType,
    key: ObjectKey,
    options: CallOptions & { readonly uid?: string } = {},
  ): Promise<void> {
    const body = {
      apiVersion: "v1",
      kind: "DeleteOptions",
      ...(options.uid === undefined ? {} : { preconditions: { uid: options.uid } }),
    };
    await this.#call(
      {
        method: "DELETE",
        path: objectPath(type, key),
        body: JSON.stringify(body),
        contentType: "application/json",
      },
      options,
    );
  }

  async *watch<T extends KubeObject>(
    type: ResourceType,
    options: Selection & { readonly resourceVersion: string; readonly timeoutSeconds: number },
  ): AsyncGenerator<WatchEvent<T>> {
    const request: HttpRequest = {
      method: "GET",
      path: withQuery(collectionPath(type, options.namespace), {
        watch: true,
        allowWatchBookmarks: true,
        resourceVersion: options.resourceVersion,
        timeoutSeconds: options.timeoutSeconds,
        labelSelector: options.labelSelector,
        fieldSelector: options.fieldSelector,
      }),
    };
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(options.signal?.reason);
    options.signal?.throwIfAborted();
    options.signal?.addEventListener("abort", onAbort, { once: true });
    const bound = this.#options.clock.setTimer(options.timeoutSeconds * 1000 + WATCH_GRACE_MS, () =>
      controller.abort(this.#timeoutError(request, options.timeoutSeconds * 1000 + WATCH_GRACE_MS)),
    );
    try {
      const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
      const deadline = {
        timeoutMs,
        timeoutError: () => {
          const error = this.#timeoutError(request, timeoutMs);
          controller.abort(error);
          return error;
        },
        signal: controller.signal,
      };
      // The deadline is for the first answer; after that only `controller` ends the stream.
      const body = await withDeadline(this.#options.clock, deadline, () =>
        this.#transport.open(request, controller.signal),
      );
      try {
        yield* this.#events<T>(request, body, options.trim ?? withoutManagedFields);
      } finally {
        body.destroy();
      }
    } catch (thrown) {
      controller.signal.throwIfAborted();
      throw thrown;
    } finally {
      bound.cancel();
      options.signal?.removeEventListener("abort", onAbort);
    }
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  async *#events<T extends KubeObject>(
    request: HttpRequest,
    body: AsyncIterable<Uint8Array>,
    trim: (object: KubeObject) => KubeObject,
  ): AsyncGenerator<WatchEvent<T>> {
    const lines = jsonLines(body);
    for (;;) {
      let line: IteratorResult<unknown>;
      try {
        line = await lines.next();
      } catch (thrown) {
        throw this.#transport.unreachable(request, thrown);
      }
      if (line.done === true) {
        return;
      }
      const event = line.value as WatchEvent<T> | { readonly type: "ERROR"; readonly object: unknown };
      if (event.type === "ERROR") {
        throw statusError(event.object, {
          code: 500,
          request: `watch ${request.path.split("?", 1)[0] ?? ""}`,
        });
      }
      yield { type: event.type, object: trim(event.object) as T };
    }
  }

  #typed<T extends KubeObject>(type: ResourceType, object: T): T {
    return { ...object, apiVersion: apiVersion(type), kind: type.kind };
  }

  async #write<T extends KubeObject>(
    method: "POST" | "PUT" | "PATCH",
    path: string,
    body: unknown,
    contentType: string,
    options: WriteOptions = {},
  ): Promise<T> {
    const target = options.subresource === undefined ? path : `${path}/${options.subresource}`;
    const fieldManager = options.fieldManager ?? this.#options.fieldManager;
    const request = {
      method,
      path: withQuery(target, { fieldManager }),
      body: JSON.stringify(body),
      contentType,
    };
    return withoutManagedFields((await this.#call(request, options)) as T);
  }

  /** One call with its repetitions, all within the caller's `timeoutMs`. */
  async #call(request: HttpRequest, options: CallOptions = {}): Promise<unknown> {
    const { clock } = this.#options;
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const endMs = clock.monotonicMs() + timeoutMs;
    const deadline = {
      timeoutMs,
      timeoutError: () => this.#timeoutError(request, timeoutMs),
      signal: options.signal,
    };
    return await withDeadline(clock, deadline, async (signal) => {
      for (let attempt = 0; ; attempt++) {
        try {
          return await this.#transport.call({ ...request, urgent: options.urgent ?? false }, signal);
        } catch (error) {
          const delayMs = signal.aborted
            ? undefined
            : retryDelayMs(request, error, attempt, this.#options.random);
          // A wait past the deadline would end in a time-out, and hide what the server said.
          if (delayMs === undefined || clock.monotonicMs() + delayMs >= endMs) {
            throw error;
          }
          this.#options.logger.debug("Kubernetes request is made again", { attempt, delayMs, error });
          await sleep(clock, delayMs, signal);
        }
      }
    });
  }

  #timeoutError(request: HttpRequest, timeoutMs: number): KubeError {
    return new KubeError({
      reason: "Timeout",
      status: 0,
      message: `${request.method} ${request.path.split("?", 1)[0] ?? ""}: no answer from the API server within ${timeoutMs} ms`,
    });
  }
}

/**
 * A client of one API server over connections that are kept open: at most `maxConnections` for calls, others for
 * watches.
 *
 * Reads that get no answer are made again with growing pauses, and so is any call that the server turned away
 * with 429, after the time it asked for; all within the call's `timeoutMs`. A write without an answer is not
 * repeated: it rejects with `Unreachable` or `Timeout`, and its outcome is unknown.
 *
 * @throws SatelliteError `KubeConfigInvalid` when the configuration names no usable server
 */
export function createKubeClient(options: KubeClientOptions): ConnectedKubeClient {
  return createKubeClientOver(
    new Transport({
      config: options.config,
      clock: options.clock,
      metrics: options.metrics,
      userAgent: options.userAgent,
      maxConnections: options.maxConnections ?? DEFAULT_CONNECTIONS,
      proxyFor: options.proxyFor,
    }),
    options,
  );
}

/** The same client over another transport than the network. */
export function createKubeClientOver(
  transport: KubeTransport,
  behaviour: KubeClientBehaviour,
): ConnectedKubeClient {
  return new HttpKubeClient(behaviour, transport);
}
