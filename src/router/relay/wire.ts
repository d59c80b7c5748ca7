import type { Duplex } from "node:stream";
import type { Copies } from "./copies.ts";

/** What a wire tells of itself. */
export interface WireEvents {
  /** Bytes came: buffer[0, end). They are valid until the listener returns; then the buffer is filled again. */
  onBytes(buffer: Buffer, end: number): void;
  /** All that was written has been handed to the system. Only called if it was not at once. */
  onDrain(): void;
  /** The peer ended its side. */
  onEnd(): void;
  /** It broke; {@link onClose} follows. */
  onError(error: Error): void;
  /** It is closed; nothing follows. */
  onClose(): void;
}

/**
 * A connection as the relay sees it: bytes in, bytes out. What is given to {@link Wire.write} belongs to the caller again
 * when it returns: a received part can be passed on to another wire and its buffer be filled anew without ever
 * delivering the bytes of one peer to another.
 */
export interface Wire {
  /** Bytes that were written and not sent yet. */
  readonly unsentBytes: number;
  readonly isEncrypted: boolean;
  /** To be called once, at once. */
  listen(events: WireEvents): void;
  /** Sends buffer[from, to). */
  write(buffer: Buffer, from: number, to: number): void;
  /** Sends several pieces, in order, as one write. */
  writeAll(pieces: readonly Buffer[]): void;
  /** Reads no further until {@link resume}. */
  pause(): void;
  resume(): void;
  /** Ends this side, behind what was written. */
  end(): void;
  /** Ends both sides now. */
  destroy(): void;
}

/** A wire over any stream: TLS, and connections in memory. */
export class StreamWire implements Wire {
  readonly #stream: Duplex;
  readonly #copies: Copies | undefined;

  /** @param copies for streams whose bytes leave the process, see {@link Copies.write} */
  constructor(stream: Duplex, copies?: Copies) {
    this.#stream = stream;
    this.#copies = copies;
  }

  get unsentBytes(): number {
    return this.#stream.writableLength;
  }

  get isEncrypted(): boolean {
    return "encrypted" in this.#stream;
  }

  listen(events: WireEvents): void {
    const stream = this.#stream;
    stream.on("data", (chunk: Buffer) => events.onBytes(chunk, chunk.length));
    stream.on("drain", () => events.onDrain());
    stream.on("end", () => events.onEnd());
    stream.on("error", (error) => events.onError(error));
    stream.on("close", () => events.onClose());
  }

  write(buffer: Buffer, from: number, to: number): void {
    if (this.#copies === undefined) {
      this.#stream.write(Buffer.from(buffer.subarray(from, to)));
    } else {
      this.#copies.write(this.#stream, buffer, from, to);
    }
  }

  writeAll(pieces: readonly Buffer[]): void {
    this.#stream.cork();
    for (const piece of pieces) {
      this.write(piece, 0, piece.length);
    }
    this.#stream.uncork();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    this.#stream.end();
  }

  destroy(): void {
    this.#stream.destroy();
  }
}
