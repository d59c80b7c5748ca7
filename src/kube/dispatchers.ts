import type { Cluster } from "@kubernetes/client-node";
import { Agent, type Dispatcher, ProxyAgent, Socks5ProxyAgent } from "undici";
import { SatelliteError } from "../base/errors.ts";
import type { ProxyRule } from "../base/proxy.ts";
import type { Credentials, TlsMaterial } from "./credentials.ts";

/** Under kube-apiserver's 90 s, so that the client closes an idle connection and never writes into a closed one. */
const IDLE_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Keeps load balancers from forgetting a quiet watch, and shows within minutes that a peer is gone. */
const TCP_KEEPALIVE_MS = 30_000;

/** How {@link DispatcherPool} connects. */
export interface PoolOptions {
  /** At most so many connections; further requests wait for one. */
  readonly maxConnections: number;
  /** Which proxy the server is reached through where the kubeconfig names none. */
  readonly proxyFor: ProxyRule;
}

function createDispatcher(
  cluster: Cluster,
  tls: TlsMaterial,
  { maxConnections, proxyFor }: PoolOptions,
): Dispatcher {
  const options = {
    connections: maxConnections,
    // One request per connection: a lost connection then costs one request, and the limit above is one of requests.
    allowH2: false,
    pipelining: 1,
    keepAliveTimeout: IDLE_MS,
    // The caller sets a deadline for the whole call.
    headersTimeout: 0,
    bodyTimeout: 0,
  };
  const socket = { keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS, timeout: CONNECT_TIMEOUT_MS };
  // As in client-go, the kubeconfig's proxy counts more than the environment's.
  const proxyUrl = cluster.proxyUrl ?? proxyFor(new URL(cluster.server));
  if (proxyUrl === undefined) {
    return new Agent({ ...options, connect: { ...tls, ...socket, allowH2: false } });
  }
  if (/^socks5h?:/.test(proxyUrl)) {
    return new Socks5ProxyAgent(proxyUrl, { ...options, requestTls: { ...tls, allowH2: false } });
  }
  if (/^https?:/.test(proxyUrl)) {
    return new ProxyAgent({ ...options, uri: proxyUrl, requestTls: { ...tls, ...socket, allowH2: false } });
  }
  throw new SatelliteError(
    "KubeConfigInvalid",
    `proxy-url of cluster "${cluster.name}" must begin with http:, https: or socks5:`,
  );
}

/**
 * One set of kept connections to the API server. client-node makes a connection for each request; this keeps
 * them as long as the TLS material stays the same, and when it changes, lets the calls of older connections end
 * (client certificates from files or exec plugins are replaced while the process runs).
 */
export class DispatcherPool {
  readonly #cluster: Cluster;
  readonly #options: PoolOptions;
  #current: { readonly fingerprint: string; readonly dispatcher: Dispatcher } | undefined;
  readonly #closing = new Set<Promise<void>>();

  constructor(cluster: Cluster, options: PoolOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  /** Connections that were made with these credentials' TLS material. */
  for(credentials: Credentials): Dispatcher {
    if (this.#current?.fingerprint !== credentials.tlsFingerprint) {
      this.#retire();
      this.#current = {
        fingerprint: credentials.tlsFingerprint,
        dispatcher: createDispatcher(this.#cluster, credentials.tls, this.#options),
      };
    }
    return this.#current.dispatcher;
  }

  #retire(): void {
    if (this.#current !== undefined) {
      const closing = this.#current.dispatcher.close().finally(() => this.#closing.delete(closing));
      this.#closing.add(closing);
    }
  }

  /** Ends everything, calls under way included. */
  async destroy(): Promise<void> {
    await this.#current?.dispatcher.destroy();
    this.#current = undefined;
    await Promise.all(this.#closing);
  }
}
