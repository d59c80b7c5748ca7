import type { Random } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import { silentLogger, type Logger } from "../../telemetry/logger.ts";
import type { ApiContext } from "./api-context.ts";
import { tokenAuthenticator, type TokenUser } from "./authentication.ts";
import { BUILTIN_RESOURCES } from "./builtin-resources.ts";
import { resourcesOf } from "./crd.ts";
import { storeCrds } from "./crd-objects.ts";
import { readForm } from "./decode.ts";
import { createHandler, type Handler } from "./handler.ts";
import { memoryJournal, type Journal } from "./journal.ts";
import type { JsonObject } from "./json.ts";
import { createInitialNamespaces } from "./namespaces.ts";
import type { Resource } from "./resource.ts";
import { allowAll, type Authorizer } from "./reviews.ts";
import { Store } from "./store.ts";

/** Options of {@link createApiServer}. */
export interface ApiServerOptions {
  readonly clock: Clock;
  /** Source of UIDs and generated names. */
  readonly random: Random;
  /** CustomResourceDefinitions to serve. */
  readonly crds: readonly JsonObject[];
  readonly users: readonly TokenUser[];
  /** Where state is kept. Default: in memory only. */
  readonly journal?: Journal;
  /** Answers SubjectAccessReviews. Default: everything is allowed. */
  readonly authorizer?: Authorizer;
  /** Default: silent. */
  readonly logger?: Logger;
  /** How many changes a watch can go back. Default 10,000. */
  readonly historyLimit?: number;
  /** How often quiet watches get a bookmark, in milliseconds. Default 60,000. */
  readonly bookmarkIntervalMs?: number;
  /** `host:port` that discovery tells clients. Default: none. */
  readonly address?: () => string;
}

/** An API server without sockets. */
export interface ApiServer {
  readonly handle: Handler;
  readonly store: Store;
  close(): void;
}

const DEFAULT_BOOKMARK_INTERVAL_MS = 60_000;

/**
 * The API server as a function, to be called in process (simulations, tests) or behind a socket.
 *
 * @throws SatelliteError when a CRD cannot be served or the state cannot be read
 */
export function createApiServer(options: ApiServerOptions): ApiServer {
  const resources = [...BUILTIN_RESOURCES, ...options.crds.flatMap(resourcesOf)];
  const store = new Store({
    journal: options.journal ?? memoryJournal(),
    read: (collection, stored) => readStored(resources, collection, stored),
    ...(options.logger === undefined ? {} : { logger: options.logger }),
    ...(options.historyLimit === undefined ? {} : { historyLimit: options.historyLimit }),
  });
  const context: ApiContext = {
    store,
    clock: options.clock,
    random: options.random,
    resources,
    bookmarkIntervalMs: options.bookmarkIntervalMs ?? DEFAULT_BOOKMARK_INTERVAL_MS,
  };
  createInitialNamespaces(context);
  storeCrds(context, options.crds);
  const handle = createHandler({
    context,
    authenticator: tokenAuthenticator(options.users),
    authorizer: options.authorizer ?? allowAll,
    logger: options.logger ?? silentLogger,
    address: options.address ?? (() => ""),
  });
  return { handle, store, close: () => store.close() };
}

/** Applies the schema of the first version of the collection; objects of types no longer served stay as they are. */
function readStored(resources: readonly Resource[], collection: string, stored: JsonObject): JsonObject {
  const resource = resources.find((candidate) => candidate.collection === collection);
  return resource === undefined ? stored : resource.toStorage(readForm(resource, stored));
}
