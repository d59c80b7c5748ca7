import { performServerHandshake } from "node:http2";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from "node:tls";

import type { Timer } from "../../base/clock.ts";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { ConnectionInfo, Engine } from "../engine.ts";
import { ClientConnection, type ConnectionContext } from "./client-connection.ts";
import { DEFAULT_STREAM_LIMITS, sessionOptions, type StreamLimits } from "./limits.ts";

/** Options of {@link createStreamEngine}. */
export interface StreamEngineOptions extends Omit<ConnectionContext, "limits"> {
  readonly limits?: Partial<StreamLimits>;
  /** Serves TLS with these; cleartext HTTP/2 when absent. Clients without ALPN are served too (buildx sends none). */
  readonly tls?: Pick<TlsOptions, "key" | "cert" | "ca" | "requestCert" | "rejectUnauthorized">;
}

/**
 * The stream engine: HTTP/2 ends at the router on both sides and every stream is passed on by itself, so the streams of
 * one client connection may go to different satellites (as behind an L7 ingress).
 */
export function createStreamEngine(options: StreamEngineOptions): Engine {
  return new StreamEngine(options);
}

class StreamEngine implements Engine {
  readonly #context: ConnectionContext;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #connections = new Set<ClientConnection>();
  /** Called when the last connection has ended. */
  readonly #onEmpty = new Set<() => void>();
  #nextId = 1;
  #draining = false;

  constructor(options: StreamEngineOptions) {
    this.#context = { ...options, limits: { ...DEFAULT_STREAM_LIMITS, ...options.limits } };
    if (options.tls === undefined) {
      this.#server = createServer({ noDelay: true }, (socket) => this.#serve(socket, {}));
    } else {
      const server = createTlsServer({ ...options.tls, ALPNProtocols: ["h2"] }, (socket) =>
        this.#serve(socket, tlsInfo(socket)),
      );
      // Also a socket whose TLS handshake fails must neither end the process nor be left over at the end.
      server.on("connection", (socket: Socket) => this.#track(socket));
      server.on("tlsClientError", (error) => options.logger.debug("TLS handshake failed", { error }));
      this.#server = server;
    }
  }

  listen(address: {
    readonly host: string;
    readonly port: number;
  }): Promise<{ readonly host: string; readonly port: number }> {
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => reject(listenError(address, error));
      this.#server.once("error", onError);
      this.#server.listen(address, () => {
        this.#server.off("error", onError);
        this.#server.on("error", (error) => this.#context.logger.error("listener failed", { error }));
        const bound = this.#server.address() as AddressInfo;
        resolve({ host: bound.address, port: bound.port });
      });
    });
  }

  goAwayIdle(satellite: string): void {
    for (const connection of this.#connections) {
      connection.goAwayIdle(satellite);
    }
  }

  endStreams(satellite: string, lastEpoch: number): void {
    for (const connection of this.#connections) {
      connection.endStreams(satellite, lastEpoch);
    }
  }

  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    this.#server.close();
    for (const connection of this.#connections) {
      connection.goAway();
    }
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
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const connection of this.#connections) {
      connection.destroy();
    }
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await closed;
    await this.#whenEmpty();
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

  #serve(socket: Socket, tls: Pick<ConnectionInfo, "serverName" | "clientCertificate">): void {
    const { limits, logger } = this.#context;
    this.#track(socket);
    const session = performServerHandshake(socket, {
      ...sessionOptions(limits),
      settings: {
        enablePush: false,
        initialWindowSize: limits.streamWindowBytes,
        maxConcurrentStreams: limits.maxConcurrentStreams,
        maxHeaderListSize: limits.maxHeaderListBytes,
      },
    });
    const info: ConnectionInfo = { id: this.#nextId++, remoteAddress: socket.remoteAddress ?? "", ...tls };
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
    if (this.#draining) {
      connection.goAway();
    }
  }
}

function tlsInfo(socket: TLSSocket): Pick<ConnectionInfo, "serverName" | "clientCertificate"> {
  const serverName: unknown = Reflect.get(socket, "servername");
  const certificate = socket.authorized ? socket.getPeerCertificate() : undefined;
  const subject = certificate?.subject;
  const organizations: unknown = subject?.O;
  return {
    ...(typeof serverName === "string" && serverName !== "" ? { serverName } : {}),
    ...(subject === undefined
      ? {}
      : {
          clientCertificate: {
            commonName: String(subject.CN),
            organizations: (Array.isArray(organizations) ? organizations : [organizations]).filter(
              (organization): organization is string => typeof organization === "string",
            ),
          },
        }),
  };
}

/** Says what to do about the usual failures of listen(2). */
function listenError(
  { host, port }: { readonly host: string; readonly port: number },
  cause: NodeJS.ErrnoException,
): SatelliteError {
  const help: Readonly<Record<string, string>> = {
    EADDRINUSE: "another process uses it; choose another port, or stop that process",
    EACCES: "this process may not bind it; choose a port above 1023",
    EADDRNOTAVAIL: "this machine has no such address",
  };
  const why = help[cause.code ?? ""] ?? toError(cause).message;
  return new SatelliteError("CannotListen", `cannot listen on ${host}:${port}: ${why}`, { cause });
}
