import { performServerHandshake, type ServerHttp2Session } from "node:http2";
import type { BlockList, Socket } from "node:net";

import type { Timer } from "../../base/clock.ts";
import { toError } from "../../base/errors.ts";
import type { ConnectionInfo, Engine } from "../engine.ts";
import { inDomain, sharedGatekeeper } from "../fault-domain.ts";
import { Listener, type AcceptedInfo } from "../listener.ts";
import type { TlsMaterial, TlsOptions } from "../tls-material.ts";
import { ClientConnection, type ConnectionContext } from "./client-connection.ts";
import { watchFarewell } from "./farewell.ts";
import { DEFAULT_STREAM_LIMITS, sessionOptions, type StreamLimits } from "./limits.ts";
import { watchQuiet } from "./quiet.ts";

/** Options of {@link createStreamEngine}. */
export interface StreamEngineOptions extends Omit<ConnectionContext, "limits"> {
  readonly limits?: Partial<StreamLimits>;
  /** Serves TLS with these; cleartext HTTP/2 when absent. Clients without ALPN are served too (buildx sends none). */
  readonly tls?: TlsOptions;
  /** Peers that must begin with a PROXY protocol v2 header. */
  readonly proxyProtocolFrom?: BlockList;
}

/** Time for the PROXY header, for the TLS handshake, and for the client's preface with its SETTINGS. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * The stream engine: HTTP/2 ends at the router on both sides and every stream is passed on by itself, so the streams of
 * one client connection may go to different satellites (as behind an L7 ingress).
 */
export function createStreamEngine(options: StreamEngineOptions): Engine {
  return new StreamEngine(options);
}

class StreamEngine implements Engine {
  readonly #context: ConnectionContext;
  readonly #listener: Listener;
  readonly #sockets = new Set<Socket>();
  readonly #connections = new Set<ClientConnection>();
  /** Called when the last connection has ended. */
  readonly #onEmpty = new Set<() => void>();
  #nextId = 1;
  #draining = false;

  constructor(options: StreamEngineOptions) {
    this.#context = {
      ...options,
      gatekeeper: sharedGatekeeper(options.gatekeeper),
      limits: { ...DEFAULT_STREAM_LIMITS, ...options.limits },
    };
    this.#listener = new Listener({
      clock: options.clock,
      logger: options.logger,
      handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      ...(options.proxyProtocolFrom === undefined ? {} : { proxyProtocolFrom: options.proxyProtocolFrom }),
      onConnection: (socket, info) => this.#accept(socket, info),
    });
  }

  listen(address: {
    readonly host: string;
    readonly port: number;
  }): Promise<{ readonly host: string; readonly port: number }> {
    return this.#listener.listen(address);
  }

  setTlsMaterial(material: TlsMaterial): void {
    this.#listener.setTlsMaterial(material);
  }

  goAwayIdle(satellite: string): void {
    this.#each((connection) => connection.leaveVm(satellite));
  }

  endStreams(satellite: string, lastEpoch: number): void {
    this.#each((connection) => connection.endStreams(satellite, lastEpoch));
  }

  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    this.#listener.stop();
    this.#each((connection) => connection.goAway());
    let timer: Timer | undefined;
    await Promise.race([
      this.#whenEmpty(),
      new Promise<void>((resolve) => {
        timer = this.#context.clock.setTimer(graceMs, resolve);
      }),
    ]);
    timer?.cancel();
  }

  async close(): Promise<void> {
    this.#draining = true;
    const closed = this.#listener.close();
    this.#each((connection) => connection.end());
    await this.#whenEmpty();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await closed;
  }

  /** Does something to every connection; one at which it fails ends, and the rest do not notice. */
  #each(work: (connection: ClientConnection) => void): void {
    for (const connection of this.#connections) {
      try {
        work(connection);
      } catch (error) {
        this.#context.logger.error("client connection fails", { error: toError(error) });
        connection.destroy();
      }
    }
  }

  #whenEmpty(): Promise<void> {
    return this.#connections.size === 0
      ? Promise.resolve()
      : new Promise((resolve) => {
          this.#onEmpty.add(resolve);
        });
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", (error) => this.#context.logger.debug("client socket failed", { error }));
    socket.once("close", () => this.#sockets.delete(socket));
  }

  /** A connection that does not begin as HTTP/2 is nobody's (RFC 9113 section 3.4). */
  #requireSettings(session: ServerHttp2Session): void {
    const timer = this.#context.clock.setTimer(HANDSHAKE_TIMEOUT_MS, () => session.destroy());
    session.once("remoteSettings", () => timer.cancel());
    session.once("close", () => timer.cancel());
  }

  /** What fails in the work of a connection ends it alone, that of node:http2 included. */
  #accept(socket: Socket, accepted: AcceptedInfo): void {
    const info: ConnectionInfo = { id: this.#nextId++, ...accepted };
    this.#track(socket);
    inDomain({ id: info.id, end: () => socket.destroy() }, () => {
      try {
        this.#serve(socket, info);
      } catch (error) {
        this.#context.logger.error("client connection fails", { connection: info.id, error: toError(error) });
        socket.destroy();
      }
    });
  }

  #serve(socket: Socket, info: ConnectionInfo): void {
    const { clock, limits, logger } = this.#context;
    const session = performServerHandshake(socket, {
      ...sessionOptions(limits),
      settings: {
        enablePush: false,
        initialWindowSize: limits.streamWindowBytes,
        maxConcurrentStreams: limits.maxConcurrentStreams,
        maxHeaderListSize: limits.maxHeaderListBytes,
      },
    });
    session.on("error", (error) => logger.debug("client connection failed", { connection: info.id, error }));
    session.setLocalWindowSize(limits.connectionWindowBytes);
    const connection = new ClientConnection(session, info, this.#context);
    this.#connections.add(connection);
    session.once("close", () => {
      this.#connections.delete(connection);
      if (this.#connections.size === 0) {
        for (const resolve of this.#onEmpty) {
          resolve();
        }
        this.#onEmpty.clear();
      }
    });
    this.#requireSettings(session);
    watchFarewell(session, clock);
    watchQuiet(session, socket, { clock, quietMs: limits.quietMs });
    if (this.#draining) {
      connection.goAway();
    }
  }
}
