import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../base/clock.ts";
import { SatelliteError } from "../base/errors.ts";
import { isLoopback } from "../base/loopback.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Assets } from "./assets.ts";
import { Feed } from "./feed.ts";
import type { Fleet } from "./fleet.ts";
import { renderDocument } from "./render.ts";

/** What {@link startPageServer} takes. */
export interface PageServerOptions {
  /** Empty: all addresses, of IPv6 and IPv4. */
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly fleet: Fleet;
  readonly assets: Assets;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A running server of the page. */
export interface PageServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Only what this server serves itself, and nobody may frame it (CSP Level 3). */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
  "base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cache-control": "no-store",
};
/** Longer than any name of a namespace (RFC 1123 label). */
const NAMESPACE = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const MAX_CONNECTIONS = 500;

/**
 * Serves the page. It reads alone: nothing that is asked for changes anything, and it asks nobody who they are, so
 * whoever reaches the address sees it.
 *
 * @throws SatelliteError `PortInUse` or `CannotListen` with what to do about it
 */
export async function startPageServer(options: PageServerOptions): Promise<PageServer> {
  const feed = new Feed(options.fleet, options.clock, options.logger);
  const server = createServer((request, response) => {
    try {
      answer(request, response, feed, options);
    } catch (error) {
      options.logger.error("The page failed; this is a mistake in the program", { error });
      if (response.headersSent) {
        response.destroy();
      } else {
        response.writeHead(500, HEADERS).end();
      }
    }
  });
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        feed.close();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, { host, port }: PageServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.on("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "EADDRINUSE"
          ? new SatelliteError(
              "PortInUse",
              `port ${port} on ${host || "all addresses"} is in use; stop what uses it or choose another with --page-address`,
              { cause: error },
            )
          : new SatelliteError("CannotListen", `cannot listen on ${host}:${port}: ${error.message}`, {
              cause: error,
            }),
      ),
    );
    server.listen(port, host, resolve);
  });
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  feed: Feed,
  { fleet, assets, host }: PageServerOptions,
): void {
  const send = (status: number, type: string, body: string): void => {
    response.writeHead(status, { ...HEADERS, "content-type": `${type}; charset=utf-8` }).end(body);
  };
  if (!isAskedByName(request, host)) {
    return send(421, "text/plain", "this address answers to localhost and loopback addresses alone\n");
  }
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return send(405, "text/plain", "this page can only be read\n");
  }
  const [path = "", query = ""] = (request.url ?? "").split("?", 2);
  const namespace = new URLSearchParams(query).get("namespace") || undefined;
  if (namespace !== undefined && !NAMESPACE.test(namespace)) {
    return send(400, "text/plain", "that is no name of a namespace\n");
  }
  if (path === "/") {
    return send(200, "text/html", renderDocument(fleet.view(namespace)).text);
  }
  if (path === "/events" && request.method === "GET") {
    response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream" });
    if (!feed.open(response, namespace)) {
      response.end();
    }
    return;
  }
  const name = path.replace(/^\/assets\//, "");
  const asset = Object.hasOwn(assets, name) && path !== name ? assets[name] : undefined;
  return asset === undefined
    ? send(404, "text/plain", "there is no such page\n")
    : send(200, name.endsWith(".css") ? "text/css" : "text/javascript", asset);
}

/**
 * Whether a browser that was led here by another site is kept out: such a site can have a name of its own point to a
 * loopback address (DNS rebinding), but the request names it.
 */
function isAskedByName({ headers }: IncomingMessage, host: string): boolean {
  if (!isLoopback(host)) {
    return true;
  }
  const asked = (headers.host ?? "").replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return asked === "localhost" || isLoopback(asked);
}
