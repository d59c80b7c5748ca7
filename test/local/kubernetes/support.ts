import {
  createApiServer,
  type ApiServer,
  type ApiServerOptions,
} from "../../../src/local/kubernetes/api-server.ts";
import type { LineStream } from "../../../src/local/kubernetes/api-request.ts";
import type { JsonObject, JsonValue } from "../../../src/local/kubernetes/json.ts";
import { asString, valueAt } from "../../../src/local/kubernetes/json.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

/** A CRD of the tests' own: nothing in the server knows the product's. */
export const PROBE_CRD: JsonObject = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "probes.example.dev" },
  spec: {
    group: "example.dev",
    scope: "Namespaced",
    names: {
      kind: "Probe",
      listKind: "ProbeList",
      plural: "probes",
      singular: "probe",
      shortNames: ["pr"],
      categories: ["all"],
    },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        subresources: { status: {} },
        selectableFields: [{ jsonPath: ".spec.mode" }],
        additionalPrinterColumns: [
          { name: "Mode", type: "string", jsonPath: ".spec.mode" },
          { name: "Ready", type: "string", jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
          { name: "Seen", type: "date", jsonPath: ".status.seen" },
          { name: "Count", type: "integer", jsonPath: ".spec.count", priority: 1 },
        ],
        schema: {
          openAPIV3Schema: {
            type: "object",
            "x-kubernetes-validations": [
              {
                rule: "self.spec.count >= oldSelf.spec.count",
                message: "count may not fall",
                fieldPath: ".spec.count",
              },
            ],
            properties: {
              spec: {
                type: "object",
                default: {},
                properties: {
                  mode: { type: "string", enum: ["a", "b"], default: "a" },
                  count: { type: "integer", format: "int32", minimum: 0, default: 0 },
                  names: { type: "array", maxItems: 3, items: { type: "string", maxLength: 5 } },
                  timeout: {
                    type: "string",
                    default: "1m",
                    "x-kubernetes-validations": [
                      {
                        rule: "duration(self) >= duration('5s')",
                        messageExpression: "'too short: ' + self",
                      },
                    ],
                  },
                },
              },
              status: {
                type: "object",
                default: {},
                properties: {
                  phase: { type: "string", enum: ["Idle", "Busy"] },
                  seen: { type: "string", format: "date-time" },
                  leases: {
                    type: "object",
                    default: {},
                    additionalProperties: {
                      type: "object",
                      required: ["seq"],
                      properties: { seq: { type: "integer", format: "int64" } },
                    },
                  },
                  conditions: {
                    type: "array",
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["type"],
                    items: {
                      type: "object",
                      required: ["type"],
                      properties: { type: { type: "string" }, status: { type: "string" } },
                    },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
};

export const TOKEN = "token-of-the-tests";
export const PROBES = "/apis/example.dev/v1/namespaces/default/probes";
export const JSON_PATCH = "application/json-patch+json";
export const MERGE_PATCH = "application/merge-patch+json";

/** An answer with its body read. */
export interface Answer {
  readonly status: number;
  readonly body: JsonObject;
  readonly warnings: readonly string[];
}

/** One line of a watch. */
export interface WatchLine {
  readonly type: string;
  readonly object: JsonObject;
}

/** An API server in this process with a client for it. */
export class TestApi {
  readonly clock: VirtualClock;
  readonly server: ApiServer;

  constructor(options: Partial<ApiServerOptions> = {}) {
    this.clock = new VirtualClock();
    this.server = createApiServer({
      clock: this.clock,
      random: seededRandom(1),
      crds: [PROBE_CRD],
      users: [{ name: "tester", groups: ["system:masters"], token: TOKEN, audiences: ["router"] }],
      ...options,
    });
  }

  /** Sends a request; a path may carry a query. */
  call(method: string, path: string, body?: JsonValue, headers: Record<string, string> = {}): Answer {
    const response = this.#send(method, path, body, headers);
    const text = typeof response.body === "string" ? response.body : "";
    const json: unknown =
      response.headers["content-type"]?.startsWith("application/json") === true ? JSON.parse(text) : { text };
    return { status: response.status, body: json as JsonObject, warnings: response.warnings };
  }

  create(name: string, spec: JsonObject = {}, metadata: JsonObject = {}): Answer {
    return this.call("POST", PROBES, probe(name, spec, metadata));
  }

  get(name: string): JsonObject {
    return this.call("GET", `${PROBES}/${name}`).body;
  }

  jsonPatch(name: string, operations: JsonValue, subresource = ""): Answer {
    return this.call("PATCH", `${PROBES}/${name}${subresource}`, operations, { "content-type": JSON_PATCH });
  }

  mergePatch(name: string, patch: JsonValue, subresource = ""): Answer {
    return this.call("PATCH", `${PROBES}/${name}${subresource}`, patch, { "content-type": MERGE_PATCH });
  }

  /** Opens a watch; what it sends collects in `lines`. */
  watch(
    query: string,
    path = PROBES,
  ): { readonly lines: WatchLine[]; readonly isOver: () => boolean; readonly stop: () => void } {
    const response = this.#send("GET", `${path}?watch=true&${query}`, undefined, {});
    if (typeof response.body === "string" || response.body instanceof Uint8Array) {
      throw new Error(`the watch was refused: ${String(response.body)}`);
    }
    return collect(response.body);
  }

  #send(method: string, path: string, body: JsonValue | undefined, headers: Record<string, string>) {
    const [pathname = "", query = ""] = path.split("?");
    return this.server.handle({
      method,
      path: pathname,
      query: new URLSearchParams(query),
      headers: {
        authorization: `Bearer ${TOKEN}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? "" : JSON.stringify(body),
    });
  }
}

function collect(stream: LineStream) {
  const lines: WatchLine[] = [];
  let isOver = false;
  const stop = stream.start({
    write: (line) => void lines.push(JSON.parse(line) as WatchLine),
    end: () => {
      isOver = true;
    },
  });
  return { lines, isOver: () => isOver, stop };
}

export function probe(name: string, spec: JsonObject = {}, metadata: JsonObject = {}): JsonObject {
  return { apiVersion: "example.dev/v1", kind: "Probe", metadata: { name, ...metadata }, spec };
}

export function resourceVersion(object: JsonObject): number {
  return Number(valueAt(object, "metadata", "resourceVersion"));
}

/** Causes of a Status as `reason field`, sorted. */
export function causes(status: JsonObject): string[] {
  const list = valueAt(status, "details", "causes") as readonly JsonObject[] | undefined;
  return (list ?? []).map((cause) => `${asString(cause["reason"])} ${asString(cause["field"])}`).sort();
}

/** "TYPE name" of each line. */
export function summary(lines: readonly WatchLine[]): string[] {
  return lines.map(({ type, object }) => `${type} ${asString(valueAt(object, "metadata", "name"))}`.trim());
}

/** mulberry32: small, and the same on every machine. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
