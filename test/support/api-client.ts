import { Agent, type Dispatcher, request } from "undici";

/** How a client says who it is. */
export type Credentials = { readonly cert: string; readonly key: string } | { readonly token: string };

/** What the API server answered, as it came. */
export interface ApiAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Parsed JSON, or the text when it is none. */
  readonly body: unknown;
}

/** Options of one request. */
export interface ApiRequestOptions {
  /** Default application/json. */
  readonly contentType?: string;
  /** Default application/json. */
  readonly accept?: string;
}

/** A line of a watch, as it came. */
export interface ApiWatchEvent {
  readonly type: string;
  readonly object: unknown;
}

/** An open watch. */
export interface ApiWatch {
  /** Status of the response that opened it. */
  readonly status: number;
  /**
   * The next event, or undefined when the server has closed the stream.
   *
   * @throws Error when none comes within the time
   */
  next(timeoutMs?: number): Promise<ApiWatchEvent | undefined>;
  close(): Promise<void>;
}

const REQUEST_TIMEOUT_MS = 30_000;
const WATCH_EVENT_TIMEOUT_MS = 15_000;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function* jsonLines(body: AsyncIterable<Buffer>): AsyncGenerator<ApiWatchEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter((line) => line !== "").map((line) => JSON.parse(line) as ApiWatchEvent);
  }
}

/**
 * A plain HTTP client for an API server. It hides nothing: tests see statuses, headers and bodies as they
 * come. (The product's own client is src/kube.)
 */
export class ApiClient {
  readonly #url: string;
  readonly #agent: Agent;
  readonly #headers: Record<string, string>;
  readonly credentials: Credentials;

  constructor(url: string, caPem: string | undefined, credentials: Credentials) {
    this.#url = url;
    this.credentials = credentials;
    const identity = "token" in credentials ? {} : { cert: credentials.cert, key: credentials.key };
    this.#headers = "token" in credentials ? { authorization: `Bearer ${credentials.token}` } : {};
    this.#agent = new Agent({
      connect: { ...(caPem === undefined ? {} : { ca: caPem }), ...identity },
    });
  }

  /**
   * Sends one request.
   *
   * @param body an object is sent as JSON, a string as it is
   */
  async request(
    method: Dispatcher.HttpMethod,
    path: string,
    body?: unknown,
    options: ApiRequestOptions = {},
  ): Promise<ApiAnswer> {
    const response = await request(`${this.#url}${path}`, {
      dispatcher: this.#agent,
      method,
      headers: {
        ...this.#headers,
        accept: options.accept ?? "application/json",
        ...(body === undefined ? {} : { "content-type": options.contentType ?? "application/json" }),
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: REQUEST_TIMEOUT_MS,
    });
    const text = await response.body.text();
    return { status: response.statusCode, headers: response.headers, body: parse(text) };
  }

  /** JSON patch, RFC 6902. */
  jsonPatch(path: string, operations: readonly object[]): Promise<ApiAnswer> {
    return this.request("PATCH", path, operations, { contentType: "application/json-patch+json" });
  }

  /** Merge patch, RFC 7396. */
  mergePatch(path: string, body: object): Promise<ApiAnswer> {
    return this.request("PATCH", path, body, { contentType: "application/merge-patch+json" });
  }

  /** Opens a watch; `path` carries the query with `watch=1`. */
  async watch(path: string, options: ApiRequestOptions = {}): Promise<ApiWatch> {
    const abort = new AbortController();
    const response = await request(`${this.#url}${path}`, {
      dispatcher: this.#agent,
      method: "GET",
      headers: { ...this.#headers, accept: options.accept ?? "application/json" },
      headersTimeout: REQUEST_TIMEOUT_MS,
      bodyTimeout: 0,
      signal: abort.signal,
    });
    const events = jsonLines(response.body);
    return {
      status: response.statusCode,
      async next(timeoutMs = WATCH_EVENT_TIMEOUT_MS) {
        const timer = setTimeout(() => {
          abort.abort(new Error(`no watch event came within ${timeoutMs} ms`));
        }, timeoutMs);
        try {
          const { done, value } = await events.next();
          return done === true ? undefined : value;
        } finally {
          clearTimeout(timer);
        }
      },
      async close() {
        // Aborting makes the body fail, which is the point; nobody reads it any more.
        response.body.on("error", () => {});
        abort.abort();
        await Promise.resolve();
      },
    };
  }

  /** Closes the connections. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}
