import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "@prometheus-io/client";
import { SatelliteError } from "../base/errors.ts";

/** What a {@link startHealthServer} serves. */
export interface HealthServerOptions {
  /** Empty: all addresses, of IPv6 and IPv4. */
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  /** What /metrics shows. */
  readonly registry: Pick<Registry, "metrics" | "contentType">;
  /** Whether the process lives: false asks the kubelet for a restart. */
  readonly healthy: () => boolean;
  /** Whether the process can do its work now. */
  readonly ready: () => boolean;
}

/** A running health server. */
export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves /healthz and /readyz (200 or 503, as Kubernetes probes expect) and /metrics (Prometheus text).
 *
 * @throws SatelliteError `PortInUse` or `CannotListen` with what to do about it
 */
export async function startHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const server = createServer((request, response) => {
    answer(request, response, options).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    // Once it listens, errors are those of single connections that could not be taken: it goes on.
    server.on("error", (error: NodeJS.ErrnoException) => reject(cannotListen(error, options)));
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function cannotListen(error: NodeJS.ErrnoException, { host, port }: HealthServerOptions): SatelliteError {
  return error.code === "EADDRINUSE"
    ? new SatelliteError(
        "PortInUse",
        `port ${port} on ${host || "all addresses"} is in use; stop what uses it or choose another with --health-address`,
        { cause: error },
      )
    : new SatelliteError("CannotListen", `cannot listen on ${host}:${port}: ${error.message}`, {
        cause: error,
      });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { registry, healthy, ready }: HealthServerOptions,
): Promise<void> {
  const probe = (good: boolean): void => {
    response.writeHead(good ? 200 : 503, { "content-type": "text/plain" }).end(good ? "ok\n" : "not ok\n");
  };
  // What is asked for may be anything: no URL parser that throws looks at it.
  switch (request.url?.split("?", 1)[0] ?? "") {
    case "/healthz":
    case "/livez":
      return probe(healthy());
    case "/readyz":
      return probe(ready());
    case "/metrics":
      try {
        const text = await registry.metrics();
        response.writeHead(200, { "content-type": registry.contentType }).end(text);
      } catch (error) {
        response.writeHead(500, { "content-type": "text/plain" }).end(String(error));
      }
      return;
    default:
      response.writeHead(404, { "content-type": "text/plain" }).end("try /healthz, /readyz or /metrics\n");
  }
}
