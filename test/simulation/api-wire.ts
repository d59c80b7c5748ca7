import { KubeError } from "../../src/kube/errors.ts";
import type { KubeTransport } from "../../src/kube/http-client.ts";
import { answerError } from "../../src/kube/status.ts";
import type { HttpRequest } from "../../src/kube/transport.ts";
import type { ApiServer } from "../../src/local/kubernetes/api-server.ts";
import type { ApiRequest, ApiResponse, LineStream } from "../../src/local/kubernetes/api-request.ts";
import type { Courier, CourierContext } from "./courier.ts";
import type { NotificationFault } from "./plan.ts";
import { between } from "./random.ts";
import type { SimProcess } from "./sim-process.ts";
import { WatchStream } from "../support/watch-stream.ts";

/** Token of the one user of a simulated API server. */
export const TOKEN = "simulated";

/** Bounds of the time that a request or notification takes, in milliseconds. */
const TRAVEL_MS = [1, 4] as const;
/** How late a notification comes a second time, or after its successor. */
const REPEAT_MS = 3000;
/** After this time a broken watch is noticed. */
const BREAK_MS = 2000;

/** A path below the collection of Satellites, or of their classes. */
const SATELLITE_PATH = /\/(?:satellites|satelliteclasses)\/([^?]+)/;

/** What an {@link ApiWire} is made of. */
export interface ApiWireOptions extends Pick<CourierContext, "clock" | "random" | "book" | "trace"> {
  readonly api: ApiServer;
  readonly courier: Courier;
  readonly process: SimProcess;
  /** Called right before and after a request is carried out, so that the world knows whose writes it sees. */
  readonly onRequest: (process: SimProcess | undefined) => void;
  /** Field that the schema refuses whatever is written there, as a JSON pointer; undefined: none. */
  readonly rejects: () => string | undefined;
  /** The process begins with what an API server shows that lags behind: as of `revision`, until `untilMs`. */
  readonly rewind?: { readonly revision: number; readonly untilMs: number };
}

/** Stands in for the network between one process and the API server: same client, same handler, no sockets. */
export class ApiWire implements KubeTransport {
  readonly #options: ApiWireOptions;
  /** Kinds that were listed. */
  readonly #listed = new Set<string>();
  /** Kinds of which what has happened so far is forgotten: whoever does not list anew is told again and again that it is too old. */
  readonly #compacted = new Set<string>();
  #lastDeliveryMs = 0;

  constructor(options: ApiWireOptions) {
    this.#options = options;
  }

  call(request: HttpRequest, signal: AbortSignal): Promise<unknown> {
    const { courier, process } = this.#options;
    const effect = effectOf(request);
    return courier.send({
      process,
      ...(effect === undefined ? {} : { effect }),
      travelMs: TRAVEL_MS,
      carryOut: () => this.#carryOut(request),
      lost: () => this.unreachable(request, new Error("the connection broke")),
      signal,
    });
  }

  open(
    request: HttpRequest,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array> & { destroy(): unknown }> {
    const { courier, process } = this.#options;
    return courier.send({
      process,
      travelMs: TRAVEL_MS,
      carryOut: () => this.#watch(request, signal),
      lost: () => this.unreachable(request, new Error("the connection broke")),
      signal,
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  unreachable(request: HttpRequest, thrown: unknown): KubeError {
    return new KubeError({
      reason: "Unreachable",
      status: 0,
      message: `${request.method} ${request.path}: no answer`,
      cause: thrown,
    });
  }

  #carryOut(request: HttpRequest): unknown {
    if (request.method === "GET") {
      this.#compacted.delete(watchedKind(request.path) ?? "");
    }
    const { body } = this.#handle(this.#rewound(request));
    return typeof body === "string" && body !== "" ? JSON.parse(body) : undefined;
  }

  #handle(request: HttpRequest): ApiResponse {
    const { api, process, onRequest, rejects } = this.#options;
    const field = rejects();
    if (field !== undefined && sets(request, field)) {
      throw rejection(field);
    }
    onRequest(process);
    const response = api.handle(toApiRequest(request));
    onRequest(undefined);
    if (response.status < 200 || response.status > 299) {
      throw answerError(typeof response.body === "string" ? response.body : "", {
        code: response.status,
        request: `${request.method} ${request.path}`,
      });
    }
    return response;
  }

  /** The first listing of a process that was rewound shows what was. */
  #rewound(request: HttpRequest): HttpRequest {
    const { rewind } = this.#options;
    const kind = watchedKind(request.path);
    if (rewind === undefined || request.method !== "GET" || kind === undefined || this.#listed.has(kind)) {
      return request;
    }
    this.#listed.add(kind);
    const path = `${request.path}&resourceVersion=${rewind.revision}&resourceVersionMatch=Exact`;
    return { ...request, path };
  }

  #watch(request: HttpRequest, signal: AbortSignal): WatchStream {
    const stream = new WatchStream();
    const { body } = this.#handle(request);
    const kind = watchedKind(request.path);
    if (kind !== undefined && this.#compacted.has(kind)) {
      stream.push(EXPIRED);
      stream.end();
      return stream;
    }
    const stop = (body as LineStream).start({
      write: (line) => this.#notify(stream, line, kind),
      end: () => this.#deliverLater(0, () => stream.end()),
    });
    stream.onDestroy = stop;
    signal.addEventListener(
      "abort",
      () => {
        stop();
        stream.end(signal.reason);
      },
      { once: true },
    );
    return stream;
  }

  #notify(stream: WatchStream, line: string, kind: string | undefined): void {
    const { book, trace, clock, process } = this.#options;
    const type = /^\{"type":"(\w+)"/.exec(line)?.[1] ?? "";
    if (kind === undefined || type === "BOOKMARK" || type === "ERROR") {
      this.#deliverLater(0, () => stream.push(line));
      return;
    }
    const what = `${type} ${kind === "namespaces" ? "namespace " : ""}${nameIn(line)}`;
    const index = trace.count(clock.elapsedMs, "notification", process.name, what);
    const fault = book.notification(process.name, index);
    if (fault === undefined) {
      this.#deliverLater(0, () => stream.push(line));
    } else {
      trace.note(clock.elapsedMs, "process", process.name, `notification #${index}: ${fault.what}`);
      this.#misdeliver(fault, stream, line, kind);
    }
  }

  #misdeliver(fault: NotificationFault, stream: WatchStream, line: string, kind: string): void {
    const push = (): void => stream.push(line);
    const broken = (): void => {
      stream.onDestroy();
      stream.end(new Error("the watch broke"));
    };
    switch (fault.what) {
      case "drop":
        this.#compacted.add(kind);
        this.#aside(BREAK_MS, broken);
        return;
      case "duplicate":
        this.#deliverLater(0, push);
        this.#aside(REPEAT_MS, push);
        return;
      case "delay":
        this.#deliverLater(fault.forMs ?? 0, push);
        return;
      case "swap":
        this.#aside(REPEAT_MS, push);
        return;
      case "expire":
        this.#compacted.add(kind);
        this.#deliverLater(0, () => {
          stream.onDestroy();
          stream.push(EXPIRED);
          stream.end();
        });
        return;
      case "cut":
        this.#deliverLater(0, broken);
    }
  }

  /** Delivers in order, after all that was sent before. */
  #deliverLater(extraMs: number, work: () => void): void {
    const { clock, random, courier, process, rewind } = this.#options;
    const nowMs = clock.elapsedMs;
    this.#lastDeliveryMs = Math.max(
      this.#lastDeliveryMs,
      nowMs + between(random, TRAVEL_MS[0], TRAVEL_MS[1]) + extraMs,
      courier.cutOffUntilMs(process.name),
      rewind?.untilMs ?? 0,
    );
    clock.setTimer(this.#lastDeliveryMs - nowMs, () => process.deliver(work));
  }

  /** Delivers at that time, whatever comes before. */
  #aside(afterMs: number, work: () => void): void {
    const { clock, process } = this.#options;
    clock.setTimer(afterMs, () => process.deliver(work));
  }
}

const EXPIRED = `${JSON.stringify({
  type: "ERROR",
  object: {
    kind: "Status",
    apiVersion: "v1",
    status: "Failure",
    reason: "Expired",
    code: 410,
    message: "too old resource version",
  },
})}\n`;

/** A request as the handler takes it. */
export function toApiRequest({ method, path, body, contentType }: HttpRequest): ApiRequest {
  const [pathname = "", query = ""] = path.split("?", 2);
  return {
    method,
    path: pathname,
    query: new URLSearchParams(query),
    headers: {
      authorization: `Bearer ${TOKEN}`,
      accept: "application/json",
      ...(contentType === undefined ? {} : { "content-type": contentType }),
    },
    body: body ?? "",
  };
}

/** The kind that a path lists or watches, where its notifications are counted: what the product acts on. */
function watchedKind(path: string): string | undefined {
  return /\/(satellites|namespaces)(?:\?|$)/.exec(path)?.[1];
}

function nameIn(line: string): string {
  return /"name":"([\w-]+)"/.exec(line.slice(line.indexOf('"metadata"')))?.[1] ?? "";
}

/** What a write does, in short; undefined for reads, and for events and leases, which change no machine. */
function effectOf({ method, path, body }: HttpRequest): string | undefined {
  const target = SATELLITE_PATH.exec(path)?.[1];
  return method === "GET" || target === undefined ? undefined : `${method} ${target} ${summary(body ?? "")}`;
}

/** The written members of a JSON patch, with power in words. */
function summary(body: string): string {
  const operations = JSON.parse(body) as readonly { op: string; path: string; value?: unknown }[];
  return operations
    .filter(({ op }) => op !== "test")
    .map(({ path, value }) =>
      path === "/status/power" || path === "/spec/desiredPower" || path.startsWith("/status/activity")
        ? `${path}=${JSON.stringify(value)}`
        : path,
    )
    .join(" ");
}

/** Whether the request is a JSON patch that writes to the field. */
function sets({ method, body = "" }: HttpRequest, field: string): boolean {
  const operations: unknown = method === "PATCH" ? JSON.parse(body) : [];
  return (
    Array.isArray(operations) &&
    operations.some(({ op, path }: { op: string; path: string }) => op !== "test" && path === field)
  );
}

function rejection(field: string): KubeError {
  const causes = [{ reason: "FieldValueInvalid", field, message: "Invalid value" }];
  return new KubeError({ reason: "Invalid", status: 422, message: `is invalid: ${field}`, causes });
}
