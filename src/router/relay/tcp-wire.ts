import { writeSync, writevSync } from "node:fs";
import { connect, Socket, type OnReadOpts } from "node:net";
import { Copies } from "./copies.ts";
import { StreamWire, type Wire, type WireEvents } from "./wire.ts";

/** As much as one read takes: the more, the fewer reads a large message needs. */
const RECEIVE_BYTES = 256 * 1024;

/** Memory that all connections of an engine share: each deals with what it received before the next one receives. */
export class WireMemory {
  readonly receive: Buffer = Buffer.allocUnsafeSlow(RECEIVE_BYTES);
  readonly copies = new Copies();
}

/** What node:net keeps in a Socket. Undocumented, but for years the same; {@link wireOf} checks for it. */
interface SocketInternals {
  _handle: { readonly fd?: number } | null;
  /** The server that counts this connection. */
  _server?: unknown;
  server?: unknown;
}

/**
 * A TCP connection without the cost of a stream for each read and write: all connections receive into one buffer
 * (`onread` of node:net), and what the kernel takes at once is written at once, by write(2). Only what it does not
 * take goes the way of the stream, as a copy. On small requests this halves what Node adds to the kernel's own work.
 */
export class TcpWire implements Wire {
  readonly isEncrypted = false;
  readonly #socket: Socket;
  readonly #copies: Copies;
  #events: WireEvents | undefined;
  /** The descriptor, or -1 as long as it must not be written to directly. */
  #descriptor: number;
  /** Something was not sent at once, and {@link WireEvents.onDrain} is to come. */
  #isQueued = false;

  private constructor(makeSocket: (onread: OnReadOpts) => Socket, { receive, copies }: WireMemory) {
    this.#copies = copies;
    this.#socket = makeSocket({
      buffer: receive,
      callback: (sizeBytes) => {
        this.#events?.onBytes(receive, sizeBytes);
        return true;
      },
    });
    this.#descriptor = descriptorOf(this.#socket);
  }

  /** Connects. What is written meanwhile waits. */
  static connect(
    options: { readonly host: string; readonly port: number; readonly keepAliveMs: number },
    memory: WireMemory,
  ): TcpWire {
    const { host, port, keepAliveMs } = options;
    const wire = new TcpWire(
      (onread) =>
        connect({
          host,
          port,
          noDelay: true,
          keepAlive: true,
          keepAliveInitialDelay: keepAliveMs,
          allowHalfOpen: true,
          onread,
        }),
      memory,
    );
    wire.#socket.once("connect", () => {
      wire.#descriptor = descriptorOf(wire.#socket);
    });
    return wire;
  }

  /**
   * Takes over an accepted connection from which nothing was read yet; `socket` is of no use afterwards.
   *
   * A server's sockets cannot be given `onread`: their handle goes to a new Socket, and so does the place among the
   * connections that the server waits for.
   */
  static adopt(socket: Socket, memory: WireMemory): TcpWire {
    const old = socket as unknown as SocketInternals;
    const wire = new TcpWire(
      (onread) =>
        // `handle` is what node:net itself makes sockets from.
        new Socket({ handle: old._handle, allowHalfOpen: socket.allowHalfOpen, onread } as object),
      memory,
    );
    const adopted = wire.#socket as unknown as SocketInternals;
    adopted._server = old._server;
    adopted.server = old.server;
    old._server = null;
    old.server = null;
    old._handle = null;
    return wire;
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  listen(events: WireEvents): void {
    this.#events = events;
    const socket = this.#socket;
    socket.on("end", () => events.onEnd());
    socket.on("error", (error) => events.onError(error));
    socket.on("close", () => events.onClose());
  }

  write(buffer: Buffer, from: number, to: number): void {
    let sentBytes = 0;
    if (this.#canSend()) {
      try {
        sentBytes = writeSync(this.#descriptor, buffer, from, to - from);
      } catch {
        // EAGAIN: the kernel takes nothing now. Anything else the socket runs into itself, and tells.
      }
    }
    if (from + sentBytes < to) {
      this.#queue(buffer, from + sentBytes, to);
    }
  }

  writeAll(pieces: readonly Buffer[]): void {
    let sentBytes = 0;
    if (this.#canSend()) {
      try {
        sentBytes = writevSync(this.#descriptor, pieces);
      } catch {
        // As above.
      }
    }
    for (const piece of pieces) {
      if (sentBytes < piece.length) {
        this.#queue(piece, sentBytes, piece.length);
      }
      sentBytes = Math.max(0, sentBytes - piece.length);
    }
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /**
   * Whether there is a connection and nothing waits before us. A destroyed socket's descriptor may already be another
   * connection's; `destroyed` is set before it is closed.
   */
  #canSend(): boolean {
    return this.#descriptor >= 0 && this.#socket.writableLength === 0 && !this.#socket.destroyed;
  }

  /** The rest goes the way of streams: it is sent when the kernel takes it. */
  #queue(buffer: Buffer, from: number, to: number): void {
    this.#isQueued = true;
    this.#copies.write(this.#socket, buffer, from, to, () => this.#onWritten());
  }

  #onWritten(): void {
    if (this.#isQueued && this.#socket.writableLength === 0 && !this.#socket.destroyed) {
      this.#isQueued = false;
      this.#events?.onDrain();
    }
  }
}

/** The fastest wire for a connection that a listener has handed over. */
export function wireOf(socket: Socket, memory: WireMemory): Wire {
  const isBareTcp = socket.constructor === Socket && socket.bytesRead === 0 && descriptorOf(socket) >= 0;
  return isBareTcp ? TcpWire.adopt(socket, memory) : new StreamWire(socket, memory.copies);
}

/** The file descriptor of a connected TCP socket; -1 where there is none to be had. */
function descriptorOf(socket: Socket): number {
  return socket.connecting ? -1 : ((socket as unknown as SocketInternals)._handle?.fd ?? -1);
}
