import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import type { ProxyRule } from "../../base/proxy.ts";

/** Connections to one service at most, as the SDK has it. */
const MAX_SOCKETS = 50;

type Handle = NodeHttpHandler["handle"];

/**
 * Sends the SDK's requests directly, or through the HTTP proxy that `proxyFor` names for their URL. STS is asked for
 * credentials of roles and web identities through the same handler. Credentials of the instance and the container are never
 * fetched through it, since the SDK has clients of its own for these.
 */
export class ProxyingHandler extends NodeHttpHandler {
  readonly #proxyFor: ProxyRule;
  readonly #connectionTimeoutMs: number;
  readonly #proxied = new Map<string, NodeHttpHandler>();

  /** @param connectionTimeoutMs how long a connection may take, in milliseconds */
  constructor(proxyFor: ProxyRule, connectionTimeoutMs: number) {
    super({ connectionTimeout: connectionTimeoutMs });
    this.#proxyFor = proxyFor;
    this.#connectionTimeoutMs = connectionTimeoutMs;
  }

  override handle(...[request, options]: Parameters<Handle>): ReturnType<Handle> {
    const { protocol, hostname, port } = request;
    const proxy = this.#proxyFor(new URL(`${protocol}//${hostname}${port === undefined ? "" : `:${port}`}`));
    return proxy === undefined
      ? super.handle(request, options)
      : this.#through(proxy).handle(request, options);
  }

  #through(proxy: string): NodeHttpHandler {
    let handler = this.#proxied.get(proxy);
    if (handler === undefined) {
      const agent = {
        keepAlive: true,
        maxSockets: MAX_SOCKETS,
        proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy },
      };
      handler = new NodeHttpHandler({
        connectionTimeout: this.#connectionTimeoutMs,
        httpAgent: new HttpAgent(agent),
        httpsAgent: new HttpsAgent(agent),
      });
      this.#proxied.set(proxy, handler);
    }
    return handler;
  }

  override destroy(): void {
    super.destroy();
    for (const handler of this.#proxied.values()) {
      handler.destroy();
    }
  }
}
