import type { Cluster, KubeConfig } from "@kubernetes/client-node";
import { type Dispatcher, WebSocket } from "undici";
import type { Clock } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import { noProxy, type ProxyRule } from "../base/proxy.ts";
import { type Credentials, CredentialSource, differ } from "./credentials.ts";
import { DispatcherPool } from "./dispatchers.ts";
import { KubeError } from "./errors.ts";
import { answerError, retryAfterSeconds } from "./status.ts";

/** One HTTP request to the API server. */
export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path with query string, beginning with a slash. */
  readonly path: string;
  readonly body?: string;
  readonly contentType?: string;
  /** Whether it must not wait behind other calls. */
  readonly urgent?: boolean;
  /** `Accept` header where the answer is not plain JSON of the type: a Table, for example. */
  readonly accept?: string;
}

/** Counts requests. {@link KubeMetrics} does; commands for people count nothing. */
export interface RequestMetrics {
  readonly requests: { inc(labels: { code: string; method: string; host: string }): void };
  readonly requestSeconds: { observe(labels: { verb: string; host: string }, seconds: number): void };
}

/** What a {@link Transport} is made of. */
export interface TransportOptions {
  readonly config: KubeConfig;
  readonly clock: Clock;
  readonly metrics: RequestMetrics;
  readonly userAgent: string;
  /** At most so many connections for calls; watches have their own, which are not counted. */
  readonly maxConnections: number;
  /** Which proxy the server is reached through where the configuration names none. Default: none. */
  readonly proxyFor?: ProxyRule | undefined;
  /** Header fields of each request, in lower case; they replace those of the credentials that have the same name. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
}

/** More watches at a time than any process of the product holds. */
const MAX_WATCHES = 64;
/** For calls that must not wait: the one under way, and one more when that was given up but has not ended yet. */
const URGENT_CONNECTIONS = 2;
/**
 * Codes of connections that ended because of the client's certificate, before a request was sent: it could not be used
 * at all, or the server answered the handshake with an alert that speaks of it (RFC 8446, section 6.2).
 */
const CERTIFICATE_REFUSED =
  /^ERR_OSSL_|^ERR_SSL_\S*ALERT_(?:BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_\w+|UNKNOWN_CA|ACCESS_DENIED|HANDSHAKE_FAILURE)$/;
/**
 * Codes of connections that the other side has ended without a reason. Some servers refuse a certificate in this way.
 */
const ENDED: ReadonlySet<string> = new Set(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"]);
/** How many causes of an error, one below the other, are looked at. */
const MAX_CAUSES = 5;

function currentCluster(config: KubeConfig): Cluster {
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new SatelliteError("KubeConfigInvalid", "the kubeconfig's current context names no known cluster");
  }
  if (!URL.canParse(cluster.server)) {
    throw new SatelliteError("KubeConfigInvalid", `"${cluster.server}" is not the URL of an API server`);
  }
  if (cluster.server.startsWith("http:") && !cluster.skipTLSVerify) {
    throw new SatelliteError(
      "KubeConfigInvalid",
      `${cluster.server} would carry credentials in the clear; use https, or set insecure-skip-tls-verify for a server on this machine`,
    );
  }
  return cluster;
}

/** The code that says most, among those of an error and its causes: ECONNREFUSED, CERT_HAS_EXPIRED, UND_ERR_SOCKET … */
function errorCode(thrown: unknown): string | undefined {
  let found: string | undefined;
  let current: unknown = thrown;
  for (let depth = 0; depth < MAX_CAUSES && current instanceof Error; depth++) {
    const code: unknown = Reflect.get(current, "code");
    found = typeof code === "string" ? code : found;
    current = current.cause;
  }
  return found;
}

/** Sends requests to one API server over kept connections, with credentials, metrics and errors. */
export class Transport {
  readonly #server: URL;
  readonly #prefix: string;
  readonly #credentials: CredentialSource;
  readonly #calls: DispatcherPool;
  readonly #urgentCalls: DispatcherPool;
  readonly #watches: DispatcherPool;
  readonly #options: TransportOptions;

  /** @throws SatelliteError `KubeConfigInvalid` */
  constructor(options: TransportOptions) {
    const cluster = currentCluster(options.config);
    this.#options = options;
    this.#server = new URL(cluster.server);
    this.#prefix = this.#server.pathname.replace(/\/$/, "");
    this.#credentials = new CredentialSource(options.config, options.clock);
    const { proxyFor = noProxy } = options;
    const pool = (maxConnections: number): DispatcherPool =>
      new DispatcherPool(cluster, { maxConnections, proxyFor });
    this.#calls = pool(options.maxConnections);
    this.#urgentCalls = pool(URGENT_CONNECTIONS);
    this.#watches = pool(MAX_WATCHES);
  }

  /**
   * Sends a call and reads its answer.
   *
   * @returns the body of a 2xx answer, parsed
   * @throws KubeError for any other outcome; what `signal` aborted, too
   */
  async call(request: HttpRequest, signal: AbortSignal): Promise<unknown> {
    const pool = request.urgent === true ? this.#urgentCalls : this.#calls;
    const { body } = await this.#send(request, pool, signal);
    let text: string;
    try {
      text = await body.text();
    } catch (thrown) {
      throw this.unreachable(request, thrown);
    }
    try {
      return text === "" ? undefined : JSON.parse(text);
    } catch (thrown) {
      throw this.#unreadable(request, thrown);
    }
  }

  /**
   * Opens a watch.
   *
   * @returns the body of a 2xx answer, which the caller reads to its end or destroys
   */
  async open(
    request: HttpRequest,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array> & { destroy(): unknown }> {
    const { body } = await this.#send(request, this.#watches, signal);
    return body;
  }

  /** The server's time by the Date header of an answer, in whole seconds. */
  async serverTime(signal: AbortSignal): Promise<Date | undefined> {
    const { headers, body } = await this.#send({ method: "GET", path: "/version" }, this.#calls, signal);
    await body.dump();
    const date = headers["date"];
    return typeof date === "string" ? new Date(date) : undefined;
  }

  /**
   * Opens a WebSocket, as `exec` and `portforward` of a pod want one, with the same trust, credentials and proxies.
   *
   * @param path path with query string
   * @param protocol subprotocol that the server has to agree to
   */
  async webSocket(path: string, protocol: string): Promise<WebSocket> {
    const credentials = await this.#credentials.get();
    const url = new URL(this.#prefix + path, this.#server);
    url.protocol = this.#server.protocol === "https:" ? "wss:" : "ws:";
    return new WebSocket(url, {
      protocols: [protocol],
      headers: this.#headers(credentials),
      dispatcher: this.#watches.for(credentials),
    });
  }

  #headers(credentials: Credentials): [name: string, value: string][] {
    const { userAgent, headers = [] } = this.#options;
    const replaced = new Set(headers.map(([name]) => name));
    return [
      ...Object.entries(credentials.headers).filter(([name]) => !replaced.has(name)),
      ["user-agent", userAgent],
      ...headers.map(([name, value]): [string, string] => [name, value]),
    ];
  }

  /** Ends all connections; calls under way fail. */
  async close(): Promise<void> {
    const pools = [this.#calls, this.#urgentCalls, this.#watches];
    await Promise.all(pools.map((pool) => pool.destroy()));
  }

  /** The KubeError for an answer that did not come, or not to its end. */
  unreachable(request: HttpRequest, thrown: unknown): KubeError {
    const code = errorCode(thrown);
    return new KubeError({
      reason: "Unreachable",
      status: 0,
      message: `${this.#name(request)}: no answer from ${this.#server.origin} (${code === undefined ? "" : `${code}: `}${toError(thrown).message}); check that the API server runs and can be reached`,
      cause: thrown,
    });
  }

  #unreadable(request: HttpRequest, thrown: unknown): KubeError {
    return new KubeError({
      reason: "Unreadable",
      status: 0,
      message: `${this.#name(request)}: ${this.#server.origin} answered with something that is not JSON; check that it is an API server`,
      cause: thrown,
    });
  }

  /** For messages: without the query, which may be long. */
  #name(request: HttpRequest): string {
    return `${request.method} ${request.path.split("?", 1)[0] ?? ""}`;
  }

  async #send(
    request: HttpRequest,
    pool: DispatcherPool,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const credentials = await this.#credentials.get();
    const first = await this.#sendWith(credentials, request, pool, signal).catch((thrown: unknown) =>
      this.#certificateRefusal(credentials, thrown),
    );
    if (!(first instanceof KubeError) && first.statusCode !== 401) {
      return await this.#accepted(request, first);
    }
    // The server has done nothing, so any method may be sent again. Without newer credentials the refusal stands.
    const refusal = first instanceof KubeError ? first : await this.#refusal(request, first);
    this.#credentials.invalidate(credentials);
    const newer = await this.#credentials.get();
    if (!differ(credentials, newer)) {
      this.#credentials.invalidate(newer);
      throw refusal;
    }
    const second = await this.#sendWith(newer, request, pool, signal);
    if (second.statusCode === 401) {
      this.#credentials.invalidate(newer);
    }
    return await this.#accepted(request, second);
  }

  /** The error of a connection that ended because of the client's certificate; any other error is thrown on. */
  #certificateRefusal(credentials: Credentials, thrown: unknown): KubeError {
    const code = errorCode(thrown) ?? "";
    if (thrown instanceof KubeError && CERTIFICATE_REFUSED.test(code)) {
      return thrown;
    }
    if (ENDED.has(code)) {
      this.#credentials.suspect(credentials);
    }
    throw thrown;
  }

  async #sendWith(
    credentials: Credentials,
    request: HttpRequest,
    pool: DispatcherPool,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    signal.throwIfAborted();
    const dispatcher = pool.for(credentials);
    const { clock, metrics } = this.#options;
    const startMs = clock.monotonicMs();
    const count = (code: string): void => {
      metrics.requests.inc({ code, method: request.method, host: this.#server.host });
      metrics.requestSeconds.observe(
        { verb: request.method, host: this.#server.host },
        (clock.monotonicMs() - startMs) / 1000,
      );
    };
    try {
      const response = await dispatcher.request({
        origin: this.#server.origin,
        path: this.#prefix + request.path,
        method: request.method,
        headers: [
          ...this.#headers(credentials),
          ["accept", request.accept ?? "application/json"],
          ...(request.contentType === undefined ? [] : [["content-type", request.contentType]]),
        ].flat(),
        body: request.body ?? null,
        signal,
      });
      count(String(response.statusCode));
      return response;
    } catch (thrown) {
      count("<error>");
      throw this.unreachable(request, thrown);
    }
  }

  async #accepted(request: HttpRequest, response: Dispatcher.ResponseData): Promise<Dispatcher.ResponseData> {
    if (response.statusCode < 200 || response.statusCode > 299) {
      throw await this.#refusal(request, response);
    }
    return response;
  }

  async #refusal(request: HttpRequest, response: Dispatcher.ResponseData): Promise<KubeError> {
    let text: string;
    try {
      text = await response.body.text();
    } catch (thrown) {
      return this.unreachable(request, thrown);
    }
    const header = response.headers["retry-after"];
    return answerError(text, {
      code: response.statusCode,
      request: this.#name(request),
      retryAfterSeconds: retryAfterSeconds(
        Array.isArray(header) ? header[0] : header,
        this.#options.clock.now().getTime(),
      ),
    });
  }
}
