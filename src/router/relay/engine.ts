import type { BlockList, Socket } from "node:net";
import { systemClock, type Clock, type Timer } from "../../base/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Engine, Gatekeeper } from "../engine.ts";
import { HpackScratch } from "../../http2/hpack-decoder.ts";
import { Listener, type AcceptedInfo } from "../listener.ts";
import type { OwnService } from "../own-service.ts";
import type { TlsMaterial, TlsOptions } from "../tls-material.ts";
import { Connection } from "./connection.ts";
import type { RelayContext } from "./context.ts";
import { dialUpstream } from "./dial.ts";
import { DEFAULT_RELAY_LIMITS, type RelayLimits } from "./limits.ts";
import { Slabs } from "./outbox.ts";
import { WireMemory, wireOf } from "./tcp-wire.ts";
import type { Dial } from "./vm-connection.ts";

export type { TlsMaterial };

/** Options of {@link RelayEngine}. */
export interface RelayEngineOptions {
  readonly gatekeeper: Gatekeeper;
  readonly logger: Logger;
  /** Default: the machine's clock. */
  readonly clock?: Clock;
  /** Serves TLS with these; cleartext HTTP/2 when absent. ALPN "h2" or none: buildx sends none. */
  readonly tls?: TlsOptions;
  /** Peers that must begin with a PROXY protocol v2 header. */
  readonly proxyProtocolFrom?: BlockList;
  readonly limits?: Partial<RelayLimits>;
  /** How VMs are connected to. Default: by TLS where the VM is known by a key, else by plain TCP. */
  readonly dial?: Dial;
  /** What the router serves itself. */
  readonly own?: OwnService;
  /** Called once per request with its gRPC status where the router made the answer, else with a {@link RequestEnd}. */
  readonly onRequestEnd?: (code: string) => void;
  /** Called for a fault of the router's that ended one connection. */
  readonly onFault?: () => void;
  /** Lets several processes listen on the same port. Default false. */
  readonly reusePort?: boolean;
}

const SWEEP_MS = 1000;
/** Time that clients get to read why the router ended their calls. */
const FAREWELL_MS = 1000;

/**
 * The relay engine: an HTTP/2 server towards each client, and an HTTP/2 client towards each VM that a client's requests go
 * to. Content passes in the buffers in which it came. Of every other frame the relay reads what it says and writes one of its
 * own, so that nothing of a VM reaches another stream than those that it was given.
 */
export class RelayEngine implements Engine {
  readonly #context: RelayContext;
  readonly #listener: Listener;
  readonly #connections = new Set<Connection>();
  #sweeper: Timer | undefined;
  #lastId = 0;
  #onEmpty: (() => void) | undefined;

  constructor(options: RelayEngineOptions) {
    const limits = { ...DEFAULT_RELAY_LIMITS, ...options.limits };
    this.#context = {
      gatekeeper: options.gatekeeper,
      clock: options.clock ?? systemClock,
      logger: options.logger,
      limits,
      prepaid: { leftBytes: limits.maxPrepaidBytes },
      dial: options.dial ?? dialUpstream,
      ...(options.own === undefined ? {} : { own: options.own }),
      onRequestEnd: options.onRequestEnd ?? ((): void => {}),
      onFault: options.onFault ?? ((): void => {}),
      slabs: new Slabs(),
      scratch: new HpackScratch(),
      memory: new WireMemory(),
    };
    this.#listener = new Listener({
      clock: this.#context.clock,
      logger: options.logger,
      handshakeTimeoutMs: this.#context.limits.clientTimeoutMs,
      allowHalfOpen: true,
      reusePort: options.reusePort ?? false,
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      ...(options.proxyProtocolFrom === undefined ? {} : { proxyProtocolFrom: options.proxyProtocolFrom }),
      onConnection: (socket, info) => this.#accept(socket, info),
    });
  }

  /** @throws SatelliteError `CannotListen` */
  async listen(address: {
    readonly host: string;
    readonly port: number;
  }): Promise<{ readonly host: string; readonly port: number }> {
    const bound = await this.#listener.listen(address);
    this.#scheduleSweep();
    return bound;
  }

  setTlsMaterial(material: TlsMaterial): void {
    this.#listener.setTlsMaterial(material);
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
    this.#listener.stop();
    for (const connection of this.#connections) {
      connection.drain();
    }
    await this.#whenEmpty(graceMs);
  }

  async close(): Promise<void> {
    this.#sweeper?.cancel();
    this.#sweeper = undefined;
    const closed = this.#listener.close();
    for (const connection of this.#connections) {
      connection.end();
    }
    await this.#whenEmpty(FAREWELL_MS);
    for (const connection of this.#connections) {
      connection.destroy();
    }
    await closed;
  }

  /** Resolves when no connection is left, or after `timeoutMs`. */
  async #whenEmpty(timeoutMs: number): Promise<void> {
    let timer: Timer | undefined;
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      timer = this.#context.clock.setTimer(timeoutMs, resolve);
      this.#noteEmpty();
    });
    timer?.cancel();
  }

  #accept(socket: Socket, accepted: AcceptedInfo): void {
    this.#lastId += 1;
    const info = { id: this.#lastId, ...accepted };
    const wire = wireOf(socket, this.#context.memory);
    const connection = new Connection(wire, info, this.#context, (closed) => {
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
