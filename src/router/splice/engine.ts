import net from "node:net";
import tls from "node:tls";
import { systemClock, type Clock, type Timer } from "../../base/clock.ts";
import { SatelliteError, toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { ConnectionInfo, Engine, Gatekeeper } from "../engine.ts";
import { HpackScratch } from "../http2/hpack-decoder.ts";
import { Connection } from "./connection.ts";
import type { SpliceContext } from "./context.ts";
import { DEFAULT_SPLICE_LIMITS, type SpliceLimits } from "./limits.ts";
import { Slabs } from "./outbox.ts";
import { dialTcp, type Dial } from "./upstream-link.ts";

/** Certificates of a TLS listener; see node:tls. */
export type TlsMaterial = Pick<tls.SecureContextOptions, "key" | "cert" | "ca" | "minVersion">;

/** Options of {@link SpliceEngine}. */
export interface SpliceEngineOptions {
  readonly gatekeeper: Gatekeeper;
  readonly logger: Logger;
  /** Default: the machine's clock. */
  readonly clock?: Clock;
  /** Serves TLS with these; cleartext HTTP/2 when absent. ALPN "h2" or none: buildx sends none. */
  readonly tls?: TlsMaterial & {
    /** Asks clients for a certificate; one that `ca` did not sign is not taken for an identity. */
    readonly requestCertificate?: boolean;
  };
  readonly limits?: Partial<SpliceLimits>;
  /** How VMs are connected to. Default: plain TCP. */
  readonly dial?: Dial;
  /** Lets several processes listen on the same port. Default false. */
  readonly reusePort?: boolean;
}

const SWEEP_MS = 1000;
/** Connections that the kernel keeps for us meanwhile: many clients come back at once after a rollout. */
const BACKLOG = 4096;
const KEEPALIVE_MS = 30_000;

/**
 * The splice engine, for clients that talk to one satellite per connection, as gRPC clients do: it answers
 * at once, holds requests, and splices. DATA and response headers pass as they are.
 */
export class SpliceEngine implements Engine {
  readonly #context: SpliceContext;
  readonly #server: net.Server | tls.Server;
  readonly #options: SpliceEngineOptions;
  readonly #connections = new Set<Connection>();
  /** Sockets that are not connections yet: their TLS handshake is under way. */
  readonly #handshaking = new Set<net.Socket>();
  #sweeper: Timer | undefined;
  #lastId = 0;
  #onEmpty: (() => void) | undefined;

  constructor(options: SpliceEngineOptions) {
    this.#options = options;
    this.#context = {
      gatekeeper: options.gatekeeper,
      clock: options.clock ?? systemClock,
      logger: options.logger,
      limits: { ...DEFAULT_SPLICE_LIMITS, ...options.limits },
      dial: options.dial ?? dialTcp,
      slabs: new Slabs(),
      scratch: new HpackScratch(),
    };
    this.#server = options.tls === undefined ? this.#createTcp() : this.#createTls(options.tls);
  }

  /** @throws SatelliteError `CannotListen` */
  listen(address: {
    readonly host: string;
    readonly port: number;
  }): Promise<{ readonly host: string; readonly port: number }> {
    const { host, port } = address;
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException): void => reject(cannotListen(host, port, error));
      this.#server.once("error", onError);
      this.#server.listen(
        { host, port, backlog: BACKLOG, reusePort: this.#options.reusePort ?? false },
        () => {
          this.#server.off("error", onError);
          this.#server.on("error", (error) => this.#context.logger.error("listener failed", { error }));
          this.#scheduleSweep();
          const bound = this.#server.address();
          resolve(typeof bound === "object" && bound !== null ? { host, port: bound.port } : { host, port });
        },
      );
    });
  }

  /**
   * Uses other certificates for connections from now on.
   *
   * @throws SatelliteError `NotTls` for a listener without TLS
   */
  setTlsMaterial(material: TlsMaterial): void {
    if (!(this.#server instanceof tls.Server)) {
      throw new SatelliteError("NotTls", "this listener serves without TLS; certificates cannot be set");
    }
    this.#server.setSecureContext(material);
  }

  goAwayIdle(satellite: string): void {
    for (const connection of this.#connections) {
      connection.goAwayIdle(satellite);
    }
  }

  async drain(graceMs: number): Promise<void> {
    const { clock } = this.#context;
    this.#server.close();
    for (const socket of this.#handshaking) {
      socket.destroy();
    }
    for (const connection of this.#connections) {
      connection.drain();
    }
    let timer: Timer | undefined;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      timer = clock.setTimer(graceMs, resolve);
      this.#noteEmpty();
    });
    timer?.cancel();
    this.#destroyAll();
  }

  async close(): Promise<void> {
    this.#sweeper?.cancel();
    this.#sweeper = undefined;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#destroyAll();
    await closed;
  }

  #createTcp(): net.Server {
    return net.createServer(
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS },
      (socket) => this.#accept(socket, {}),
    );
  }

  #createTls(options: NonNullable<SpliceEngineOptions["tls"]>): tls.Server {
    const { requestCertificate = false, ...material } = options;
    const server = tls.createServer(
      {
        ...material,
        minVersion: material.minVersion ?? "TLSv1.2",
        ALPNProtocols: ["h2"],
        requestCert: requestCertificate,
        rejectUnauthorized: false,
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: KEEPALIVE_MS,
        handshakeTimeout: this.#context.limits.clientTimeoutMs,
      },
      (socket) => this.#accept(socket, identityOf(socket)),
    );
    server.on("connection", (socket: net.Socket) => {
      this.#handshaking.add(socket);
      socket.once("close", () => this.#handshaking.delete(socket));
    });
    server.on("tlsClientError", (error) => this.#context.logger.debug("TLS handshake failed", { error }));
    return server;
  }

  #accept(socket: net.Socket, identity: Pick<ConnectionInfo, "serverName" | "clientCertificate">): void {
    this.#lastId += 1;
    const info = { id: this.#lastId, remoteAddress: socket.remoteAddress ?? "", ...identity };
    const connection = new Connection(socket, info, this.#context, (closed) => {
      this.#connections.delete(closed);
      this.#noteEmpty();
    });
    this.#connections.add(connection);
  }

  #noteEmpty(): void {
    if (this.#connections.size === 0) {
      this.#onEmpty?.();
    }
  }

  #destroyAll(): void {
    for (const connection of this.#connections) {
      connection.destroy();
    }
    for (const socket of this.#handshaking) {
      socket.destroy();
    }
  }

  #scheduleSweep(): void {
    this.#sweeper = this.#context.clock.setTimer(SWEEP_MS, () => {
      const nowMs = this.#context.clock.monotonicMs();
      for (const connection of this.#connections) {
        connection.sweep(nowMs);
      }
      this.#scheduleSweep();
    });
  }
}

function identityOf(socket: tls.TLSSocket): Pick<ConnectionInfo, "serverName" | "clientCertificate"> {
  const serverName: unknown = Reflect.get(socket, "servername");
  const subject = socket.authorized ? socket.getPeerCertificate().subject : undefined;
  return {
    ...(typeof serverName === "string" ? { serverName } : {}),
    ...(subject === undefined
      ? {}
      : { clientCertificate: { commonName: first(subject.CN), organizations: all(subject.O) } }),
  };
}

/** Subject fields are typed as strings, but come as arrays where they occur more than once. */
function all(value: unknown): string[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.filter((entry) => typeof entry === "string");
}

function first(value: unknown): string {
  return all(value)[0] ?? "";
}

function cannotListen(host: string, port: number, error: NodeJS.ErrnoException): SatelliteError {
  const advice =
    error.code === "EADDRINUSE" ? "; another process uses it: choose another port, or stop that process" : "";
  return new SatelliteError(
    "CannotListen",
    `cannot listen on ${host}:${port}: ${toError(error).message}${advice}`,
    {
      cause: error,
    },
  );
}
