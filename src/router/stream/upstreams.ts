import type { ClientHttp2Session } from "node:http2";

import { isSameUpstream, type Upstream } from "../engine.ts";
import { UpstreamConnection, type UpstreamConnectionOptions } from "./upstream-connection.ts";

/**
 * The connections of one client connection to VMs: one per satellite and epoch, so that what one tenant sends can never
 * end another's connection. A broken one is replaced by the next request; nothing is ever sent twice.
 */
export class Upstreams {
  readonly #options: UpstreamConnectionOptions;
  /** Also connections that take no new requests, until their last stream has ended. */
  readonly #connections = new Set<UpstreamConnection>();

  constructor(options: UpstreamConnectionOptions) {
    this.#options = options;
  }

  /**
   * The session for an upstream, at once when it is connected.
   *
   * @throws OtherVmError (the promise rejects) when another VM answers there
   * @throws SatelliteError `UpstreamUnreachable` (the promise rejects) when the VM does not speak HTTP/2 in time
   */
  session(upstream: Upstream): ClientHttp2Session | Promise<ClientHttp2Session> {
    for (const connection of this.#connections) {
      if (connection.upstream.satellite === upstream.satellite && connection.isUsable) {
        if (isSameUpstream(connection.upstream, upstream)) {
          return connection.session ?? connection.whenReady;
        }
        // Another epoch is another stretch of being awake: connections do not carry over. Streams left run out.
        connection.close();
      }
    }
    const connection = new UpstreamConnection(upstream, this.#options, () =>
      this.#connections.delete(connection),
    );
    this.#connections.add(connection);
    return connection.whenReady;
  }

  /** Takes no new requests to a satellite; its connection ends with its last stream. */
  close(satellite: string): void {
    for (const connection of this.#connections) {
      if (connection.upstream.satellite === satellite) {
        connection.close();
      }
    }
  }

  /** Ends the connections to epochs of a satellite up to `lastEpoch`, streams included. */
  destroyUpTo(satellite: string, lastEpoch: number): void {
    for (const connection of this.#connections) {
      if (connection.upstream.satellite === satellite && connection.upstream.epoch <= lastEpoch) {
        connection.destroy();
      }
    }
  }

  /** Ends every connection now. */
  destroy(): void {
    for (const connection of this.#connections) {
      connection.destroy();
    }
  }
}
