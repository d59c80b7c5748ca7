import type { Dispatcher } from "undici";
import type {
  ApiAnswer,
  ApiClient,
  ApiRequestOptions,
  ApiWatch,
  ApiWatchEvent,
} from "../support/api-client.ts";
import { Normaliser } from "./normalise.ts";

/** One answer, in the form that is compared. */
export interface Step {
  readonly request: string;
  readonly status: number;
  readonly body: unknown;
}

/** One case of the suite: requests whose answers have to be the same from every server. */
export interface Scenario {
  /** Unique. */
  readonly name: string;
  run(api: ScenarioApi): Promise<unknown>;
}

/** Names a scenario. */
export function scenario(name: string, run: Scenario["run"]): Scenario {
  return { name, run };
}

/** What a server under test offers beside HTTP. */
export interface ScenarioServer {
  readonly admin: ApiClient;
  /** Forgets the history of changes, as the compaction of etcd does in the long run. */
  forgetHistory(): Promise<void>;
}

const GROUP = "/apis/satellites.dev/v1alpha1";

/** A Satellite manifest. */
export function satellite(name: string, spec: object = {}, metadata: object = {}): object {
  return {
    apiVersion: "satellites.dev/v1alpha1",
    kind: "Satellite",
    metadata: { name, ...metadata },
    spec,
  };
}

/** The part of `resourceVersion` and `uid` that scenarios hand on. */
export interface Identity {
  readonly uid: string;
  readonly resourceVersion: string;
}

/** Reads UID and version from an answer. */
export function identityOf(answer: ApiAnswer): Identity {
  return (answer.body as { metadata: Identity }).metadata;
}

/** What a scenario talks through. Every answer is recorded, in a namespace of the scenario's own. */
export class ScenarioApi {
  readonly namespace: string;
  readonly steps: Step[] = [];
  readonly server: ScenarioServer;
  readonly #normaliser = new Normaliser();

  constructor(server: ScenarioServer, namespace: string) {
    this.server = server;
    this.namespace = namespace;
  }

  /** Path of this namespace's satellites, or of what lies below. */
  satellites(below = ""): string {
    return `${GROUP}/namespaces/${this.namespace}/satellites${below}`;
  }

  /** Path of a namespaced collection of another group, such as `/api/v1`, `secrets`. */
  path(groupVersion: string, plural: string, below = ""): string {
    return `${groupVersion}/namespaces/${this.namespace}/${plural}${below}`;
  }

  /**
   * Sends a request and records its answer.
   *
   * @param pick reduces the body before it is compared, for documents that hold much else
   */
  async send(
    method: Dispatcher.HttpMethod,
    path: string,
    body?: unknown,
    options: ApiRequestOptions & { readonly pick?: (body: unknown) => unknown } = {},
  ): Promise<ApiAnswer> {
    const answer = await this.server.admin.request(method, path, body, options);
    const picked = options.pick === undefined ? answer.body : options.pick(answer.body);
    this.#record(`${method} ${path}`, answer.status, picked);
    return answer;
  }

  get(path: string, options: ApiRequestOptions = {}): Promise<ApiAnswer> {
    return this.send("GET", path, undefined, options);
  }

  create(object: object, query = ""): Promise<ApiAnswer> {
    return this.send("POST", this.satellites(query), object);
  }

  put(path: string, object: object): Promise<ApiAnswer> {
    return this.send("PUT", path, object);
  }

  delete(path: string, options?: object): Promise<ApiAnswer> {
    return this.send("DELETE", path, options);
  }

  jsonPatch(path: string, operations: unknown): Promise<ApiAnswer> {
    return this.send("PATCH", path, operations, { contentType: "application/json-patch+json" });
  }

  mergePatch(path: string, body: unknown): Promise<ApiAnswer> {
    return this.send("PATCH", path, body, { contentType: "application/merge-patch+json" });
  }

  /** Creates satellites without recording, as the ground of what follows. */
  async given(...objects: readonly object[]): Promise<Identity[]> {
    const identities: Identity[] = [];
    for (const object of objects) {
      const answer = await this.server.admin.request("POST", this.satellites(), object);
      if (answer.status !== 201) {
        throw new Error(`cannot set up ${this.namespace}: ${JSON.stringify(answer.body)}`);
      }
      identities.push(identityOf(answer));
    }
    return identities;
  }

  /**
   * Opens a watch, does `during`, and records `count` events, or all until the server ends the watch.
   *
   * @param path with its query
   */
  async watch(
    path: string,
    count: number | "all",
    during: () => Promise<unknown> = () => Promise.resolve(),
  ): Promise<void> {
    const watch = await this.server.admin.watch(path);
    try {
      await during();
      const events = await collect(watch, count);
      this.#record(`WATCH ${path}`, watch.status, events);
    } finally {
      await watch.close();
    }
  }

  /** Version of the collection as it is now, from which a watch misses nothing. */
  async version(): Promise<string> {
    const answer = await this.server.admin.request("GET", this.satellites());
    if (answer.status !== 200) {
      throw new Error(`the list was refused: ${JSON.stringify(answer.body)}`);
    }
    return identityOf(answer).resourceVersion;
  }

  #record(request: string, status: number, body: unknown): void {
    const stable = request
      // 0 and 1 are the same on every server: any version, and one that is too old.
      .replace(/resourceVersion=(?![01]\b)\d+/g, "resourceVersion=version")
      .replace(/continue=[^&]{8,}/g, "continue=token");
    this.steps.push({ request: stable, status, body: this.#normaliser.body(body) });
  }
}

/** How often a server says the same bookmark again depends on when its timers run. */
function isRepeatedBookmark(event: ApiWatchEvent, last: unknown): boolean {
  return event.type === "BOOKMARK" && JSON.stringify(event) === JSON.stringify(last);
}

async function collect(watch: ApiWatch, count: number | "all"): Promise<unknown[]> {
  const limit = count === "all" ? Infinity : count;
  const events: unknown[] = [];
  for (let event = await watch.next(); event !== undefined; event = await watch.next()) {
    if (!isRepeatedBookmark(event, events.at(-1))) {
      events.push(event);
    }
    if (events.length >= limit) {
      break;
    }
  }
  return events;
}
