import { performServerHandshake } from "node:http2";
import { duplexPair, type Duplex } from "node:stream";

import type { Logger } from "../telemetry/logger.ts";
import type { ConnectionInfo, HeaderList, Upstream } from "./engine.ts";
import type { LocalService } from "./stream/client-connection.ts";
import { fromRaw } from "./stream/raw-headers.ts";

/** A gRPC service of the router itself, for the splice engine: it is reached like a VM, by a connection. */
export interface OwnService {
  /** What its requests are forwarded to; known by identity. */
  readonly upstream: Upstream;
  /** Whether this request is for the router and not for a satellite. */
  handles(connection: ConnectionInfo, headers: HeaderList): boolean;
  /** Opens a connection to it, in memory. */
  connect(): Duplex;
}

/**
 * Puts a service behind an HTTP/2 server in memory. The splice engine never makes DATA of its own, whose bytes would
 * have to be counted in windows that belong to the VM; with a peer like any other it need not.
 */
export function createOwnService(service: LocalService, logger: Logger): OwnService {
  const upstream: Upstream = { satellite: "the router itself", epoch: 0, host: "in memory", port: 0 };
  return {
    upstream,
    handles: (connection, headers) => service.handles(connection, headers),
    connect() {
      const [near, far] = duplexPair();
      const session = performServerHandshake(far);
      session.on("error", (error) =>
        logger.debug("connection to the router's own service failed", { error }),
      );
      session.on("stream", (stream, _headers, _flags, raw: string[]) => {
        stream.on("error", (error) => logger.debug("stream of the router's own service failed", { error }));
        service.serve(stream, fromRaw(raw));
      });
      // One half of a pair does not hear of the other's destruction.
      near.once("close", () => session.destroy());
      session.once("close", () => near.destroy());
      return near;
    },
  };
}
