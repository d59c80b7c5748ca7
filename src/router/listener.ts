import net, { type BlockList, type Server, type Socket } from "node:net";
import tls from "node:tls";

import type { Clock } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { ConnectionInfo } from "./engine.ts";
import { isPeerIn, takeProxyHeader, type ProxiedSource } from "./proxy-protocol.ts";
import { tlsIdentityOf, type TlsIdentity } from "./tls-identity.ts";
import type { TlsMaterial, TlsOptions } from "./tls-material.ts";

/** What a listener knows of a connection when it hands it over. */
export type AcceptedInfo = Omit<ConnectionInfo, "id">;

/** Options of {@link Listener}. */
export interface ListenerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Serves TLS with these; cleartext when absent. ALPN "h2" or none: buildx sends none. */
  readonly tls?: TlsOptions;
  /** Peers that must begin with a PROXY protocol v2 header; no others may. */
  readonly proxyProtocolFrom?: BlockList;
  /** Milliseconds for the PROXY header, and for the TLS handshake. */
  readonly handshakeTimeoutMs: number;
  /** See node:net. Default false. */
  readonly allowHalfOpen?: boolean;
  /** Lets several processes listen on the same port. Default false. */
  readonly reusePort?: boolean;
  /** Takes a connection that is ready for HTTP/2. */
  readonly onConnection: (socket: Socket, info: AcceptedInfo) => void;
}

/** A connection on its way to HTTP/2. */
interface Opening {
  readonly socket: Socket;
  /** Where it comes from by its PROXY header. */
  readonly source: ProxiedSource | undefined;
}

/** Connections that the kernel keeps for us meanwhile: many clients come back at once after a rollout. */
const BACKLOG = 4096;
const KEEPALIVE_MS = 30_000;
const MIN_TLS_VERSION = "TLSv1.2";

/** Accepts connections and brings them through PROXY header and TLS handshake, both bounded in time. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  /** Never listens itself: it is given the sockets. */
  readonly #tls: tls.Server | undefined;
  /** Connections that were not handed over yet, by the address of their other end. */
  readonly #opening = new Map<string, Opening>();

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#server = net.createServer(
      {
        allowHalfOpen: options.allowHalfOpen ?? false,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEPALIVE_MS,
      },
      (socket) => this.#onSocket(socket),
    );
    this.#tls = options.tls === undefined ? undefined : this.#createTls(options.tls);
  }

  /**
   * Starts taking connections.
   *
   * @returns the address once bound
   * @throws SatelliteError `CannotListen`
   */
  listen({
    host,
    port,
  }: {
    readonly host: string;
    readonly port: number;
  }): Promise<{ readonly host: string; readonly port: number }> {
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => reject(cannotListen(host, port, error));
      this.#server.once("error", onError);
      this.#server.listen(
        { host, port, backlog: BACKLOG, reusePort: this.#options.reusePort ?? false },
        () => {
          this.#server.off("error", onError);
          this.#server.on("error", (error) => this.#options.logger.error("listener failed", { error }));
          const bound = this.#server.address();
          resolve(
            typeof bound === "object" && bound !== null
              ? { host: bound.address, port: bound.port }
              : { host, port },
          );
        },
      );
    });
  }

  /**
   * Uses other certificates for connections from now on. Sessions of the old ones cannot be resumed.
   *
   * @throws SatelliteError `NotTls` for a listener without TLS
   */
  setTlsMaterial(material: TlsMaterial): void {
    if (this.#tls === undefined) {
      throw new SatelliteError("NotTls", "this listener serves without TLS; certificates cannot be set");
    }
    this.#tls.setSecureContext({ ...material, minVersion: material.minVersion ?? MIN_TLS_VERSION });
  }

  /** Takes no more connections, and ends those that are not ready yet. */
  stop(): void {
    this.#server.close();
    for (const { socket } of this.#opening.values()) {
      socket.destroy();
    }
  }

  /** {@link stop}; resolves when all connections have ended, those that were handed over, too. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.stop();
    await closed;
  }

  #createTls({ requestCertificate = false, ...material }: TlsOptions): tls.Server {
    const server = tls.createServer(
      {
        ...material,
        minVersion: material.minVersion ?? MIN_TLS_VERSION,
        ALPNProtocols: ["h2"],
        requestCert: requestCertificate,
        // Whoever has no good certificate is told so in gRPC's words, which a failed handshake cannot.
        rejectUnauthorized: false,
        allowHalfOpen: this.#options.allowHalfOpen ?? false,
        handshakeTimeout: this.#options.handshakeTimeoutMs,
      },
      (socket) => this.#onSecure(socket),
    );
    server.on("tlsClientError", (error, socket) => {
      this.#options.logger.debug("TLS handshake failed", { error });
      // After a timeout node leaves the connection open.
      socket.destroy();
    });
    return server;
  }

  /** What a client shows may be anything; where it cannot be read, its connection ends alone. */
  #onSecure(socket: tls.TLSSocket): void {
    socket.on("error", (error) => this.#options.logger.debug("TLS connection failed", { error }));
    let identity: TlsIdentity;
    try {
      identity = tlsIdentityOf(socket);
    } catch (error) {
      this.#options.logger.warn("a client's certificate cannot be read", { error: toError(error) });
      socket.destroy();
      return;
    }
    this.#accept(socket, peerKey(socket), identity);
  }

  #onSocket(socket: Socket): void {
    const { clock, logger, proxyProtocolFrom, handshakeTimeoutMs } = this.#options;
    const key = peerKey(socket);
    this.#opening.set(key, { socket, source: undefined });
    socket.on("error", (error) => logger.debug("client socket failed", { error }));
    socket.once("close", () => this.#opening.delete(key));
    if (proxyProtocolFrom === undefined || !isPeerIn(proxyProtocolFrom, socket)) {
      this.#secure(socket, key);
      return;
    }
    takeProxyHeader(socket, { clock, timeoutMs: handshakeTimeoutMs }, (result) => {
      if (result instanceof SatelliteError) {
        const level = result.code === "ProxyClosedUnused" ? "debug" : "warn";
        logger[level](result.message, { proxy: socket.remoteAddress });
        socket.destroy();
      } else {
        this.#opening.set(key, { socket, source: result });
        this.#secure(socket, key);
      }
    });
  }

  #secure(socket: Socket, key: string): void {
    if (this.#tls === undefined) {
      this.#accept(socket, key, {});
    } else {
      this.#tls.emit("connection", socket);
    }
  }

  #accept(socket: Socket, key: string, identity: TlsIdentity): void {
    const source = this.#opening.get(key)?.source;
    this.#opening.delete(key);
    if (socket.destroyed) {
      // It has ended on its way here: nobody would ever hear of its end.
      return;
    }
    const remoteAddress = source?.address ?? socket.remoteAddress ?? "";
    try {
      this.#options.onConnection(socket, { remoteAddress, ...identity });
    } catch (error) {
      this.#options.logger.error("a connection could not be taken", { error: toError(error) });
      socket.destroy();
    }
  }
}

/** The other end of a socket; no two connections of one listener share it. */
function peerKey({ remoteAddress = "", remotePort = 0 }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** Says what to do about the usual failures of listen(2). */
function cannotListen(host: string, port: number, cause: NodeJS.ErrnoException): SatelliteError {
  const help: Readonly<Record<string, string>> = {
    EADDRINUSE: "another process uses it: choose another port, or stop that process",
    EACCES: "this process may not bind it; choose a port above 1023",
    EADDRNOTAVAIL: "this machine has no such address",
  };
  const why = help[cause.code ?? ""] ?? toError(cause).message;
  return new SatelliteError("CannotListen", `cannot listen on ${host}:${port}: ${why}`, { cause });
}
