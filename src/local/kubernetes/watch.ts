import type { Timer } from "../../base/clock.ts";
import type { ApiContext } from "./api-context.ts";
import { expired, type ApiError } from "./api-error.ts";
import type { LineSink, LineStream, ResourceRequest } from "./api-request.ts";
import type { Change } from "./history.ts";
import type { JsonObject, JsonValue } from "./json.ts";
import { parseCount, parseResourceVersion, refuse, selection, watchOptionErrors } from "./reads.ts";
import { apiVersionOf } from "./resource.ts";
import type { Predicate } from "./selectors.ts";

/** The end of the initial events in a watch that asked for them (KEP-3157). */
const INITIAL_EVENTS_END = "k8s.io/initial-events-end";
/** apiserver's `--min-request-timeout`. */
const DEFAULT_TIMEOUT_SECONDS = 1800;
/** Before a watch times out it gets a last bookmark, this long before. */
const LAST_BOOKMARK_LEAD_MS = 2000;

/** Turns an object into what goes over the wire: itself, a Table or its metadata. */
export type Render = (object: JsonObject) => JsonValue;

/**
 * GET with `watch`: the changes after a resourceVersion; without one (or with 0) first all objects as ADDED.
 * A resourceVersion that is too old gives one ERROR event with `410 Expired`, as apiserver's watch cache does.
 *
 * @throws ApiError 400, 422 for bad options
 */
export function watchObjects(context: ApiContext, call: ResourceRequest, render: Render): LineStream {
  const { query } = call.request;
  refuse(watchOptionErrors(query));
  const version = query.get("resourceVersion");
  const from = parseResourceVersion(version);
  const timeoutSeconds = parseCount(query, "timeoutSeconds");
  const sendInitialEvents = query.get("sendInitialEvents");
  const options: WatchOptions = {
    from: from === 0 ? undefined : from,
    hasInitialEvents:
      sendInitialEvents === null || sendInitialEvents === "" ? from === 0 : isTrue(sendInitialEvents),
    marksInitialEnd: isTrue(sendInitialEvents),
    hasBookmarks: isTrue(query.get("allowWatchBookmarks")),
    timeoutMs: (timeoutSeconds === 0 ? DEFAULT_TIMEOUT_SECONDS : timeoutSeconds) * 1000,
    matches: selection(call),
    render,
  };
  return { start: (sink) => new Watch(context, call, options, sink).start() };
}

function isTrue(value: string | null): boolean {
  return value === "true" || value === "1";
}

interface WatchOptions {
  /** Changes after this revision are sent; undefined: from now on. */
  readonly from: number | undefined;
  readonly hasInitialEvents: boolean;
  readonly marksInitialEnd: boolean;
  readonly hasBookmarks: boolean;
  readonly timeoutMs: number;
  readonly matches: Predicate;
  readonly render: Render;
}

class Watch {
  readonly #context: ApiContext;
  readonly #call: ResourceRequest;
  readonly #options: WatchOptions;
  readonly #sink: LineSink;
  readonly #timers: Timer[] = [];
  #unsubscribe: () => void = () => {};
  #startRevision = 0;
  #isOver = false;

  constructor(context: ApiContext, call: ResourceRequest, options: WatchOptions, sink: LineSink) {
    this.#context = context;
    this.#call = call;
    this.#options = options;
    this.#sink = sink;
  }

  /** Sends the changes so far and subscribes to later ones; returns a function that ends the watch. */
  start(): () => void {
    const { store, clock } = this.#context;
    const { from, hasInitialEvents, marksInitialEnd, hasBookmarks, timeoutMs } = this.#options;
    if (from !== undefined && !hasInitialEvents && !store.covers(from)) {
      this.#sendError(expired(`too old resource version: ${from}`));
      this.#end();
      return () => {};
    }
    this.#startRevision = from ?? store.revision;
    if (hasInitialEvents) {
      this.#sendInitialEvents();
    } else {
      store.changesSince(from ?? store.revision).forEach((change) => this.#sendChange(change));
    }
    if (marksInitialEnd && hasBookmarks) {
      this.#sendBookmark({ [INITIAL_EVENTS_END]: "true" });
    }
    this.#unsubscribe = store.onChange((change) => this.#sendChange(change));
    this.#timers.push(clock.setTimer(timeoutMs, () => this.#end()));
    if (hasBookmarks) {
      this.#scheduleBookmarks(timeoutMs);
    }
    return () => this.#stop();
  }

  #sendInitialEvents(): void {
    const { store } = this.#context;
    const { resource } = this.#call;
    for (const stored of store.list(resource.collection)) {
      const object = resource.fromStorage(stored);
      if (this.#options.matches(object)) {
        this.#send("ADDED", object);
      }
    }
  }

  #scheduleBookmarks(timeoutMs: number): void {
    const { clock, bookmarkIntervalMs } = this.#context;
    const repeat = (): void => {
      const index = this.#timers.length;
      this.#timers[index] = clock.setTimer(bookmarkIntervalMs, () => {
        this.#timers.splice(index);
        this.#sendProgress();
        repeat();
      });
    };
    if (timeoutMs > LAST_BOOKMARK_LEAD_MS) {
      this.#timers.push(clock.setTimer(timeoutMs - LAST_BOOKMARK_LEAD_MS, () => this.#sendProgress()));
    }
    repeat();
  }

  /** A change as this watch sees it: an object that begins to match counts as added, one that ceases to match as deleted. */
  #sendChange(change: Change): void {
    const { resource } = this.#call;
    if (change.collection !== resource.collection || (this.#options.from ?? 0) >= change.revision) {
      return;
    }
    const object = resource.fromStorage(change.object);
    const matched =
      change.previous !== undefined && this.#options.matches(resource.fromStorage(change.previous));
    const matches = change.type !== "DELETED" && this.#options.matches(object);
    if (matches) {
      this.#send(matched ? "MODIFIED" : "ADDED", object);
    } else if (matched) {
      this.#send("DELETED", this.#lastMatching(change));
    }
  }

  /** The object as it was when it last matched, with the revision of the change after which it no longer matched. */
  #lastMatching(change: Change): JsonObject {
    const { resource } = this.#call;
    if (change.type === "DELETED" || change.previous === undefined) {
      return resource.fromStorage(change.object);
    }
    const previous = resource.fromStorage(change.previous);
    const metadata = previous["metadata"] as JsonObject;
    return { ...previous, metadata: { ...metadata, resourceVersion: String(change.revision) } };
  }

  /** A bookmark with the revision that the watch has reached; none is sent while that is where it began. */
  #sendProgress(): void {
    if (this.#context.store.revision > this.#startRevision) {
      this.#sendBookmark();
    }
  }

  #sendBookmark(annotations?: JsonObject): void {
    const { resource } = this.#call;
    this.#write("BOOKMARK", {
      kind: resource.kind,
      apiVersion: apiVersionOf(resource),
      metadata: {
        resourceVersion: String(this.#context.store.revision),
        ...(annotations === undefined ? {} : { annotations }),
      },
    });
  }

  #sendError(error: ApiError): void {
    this.#write("ERROR", error.toStatus());
  }

  #send(type: string, object: JsonObject): void {
    this.#write(type, this.#options.render(object));
  }

  #write(type: string, object: JsonValue): void {
    if (!this.#isOver) {
      this.#sink.write(`${JSON.stringify({ type, object })}\n`);
    }
  }

  #end(): void {
    if (!this.#isOver) {
      this.#stop();
      this.#sink.end();
    }
  }

  #stop(): void {
    this.#isOver = true;
    this.#unsubscribe();
    for (const timer of this.#timers) {
      timer.cancel();
    }
  }
}
