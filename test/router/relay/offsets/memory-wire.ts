import type { Wire, WireEvents } from "../../../../src/router/relay/wire.ts";

/** A wire whose other end the test is. It hands its bytes over in a buffer that it spoils at once, as sockets do. */
export class MemoryWire implements Wire {
  readonly isEncrypted = false;
  /** What was written, not taken yet. */
  #written: Buffer[] = [];
  #events: WireEvents | undefined;
  /** What the test lets it say. */
  unsentBytes = 0;
  isPaused = false;
  hasEnded = false;
  isDestroyed = false;

  listen(events: WireEvents): void {
    this.#events = events;
  }

  write(buffer: Buffer, from: number, to: number): void {
    if (!this.isDestroyed) {
      this.#written.push(Buffer.from(buffer.subarray(from, to)));
    }
  }

  writeAll(pieces: readonly Buffer[]): void {
    for (const piece of pieces) {
      this.write(piece, 0, piece.length);
    }
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {
    this.hasEnded = true;
  }

  destroy(): void {
    if (!this.isDestroyed) {
      this.isDestroyed = true;
      this.#events?.onClose();
    }
  }

  /** Takes what was written since the last time. */
  take(): Buffer {
    return Buffer.concat(this.#written.splice(0));
  }

  /** The peer's bytes arrive. */
  receive(bytes: Buffer): void {
    if (bytes.length > 0 && !this.isDestroyed) {
      const buffer = Buffer.alloc(bytes.length + 16, 0xee);
      bytes.copy(buffer);
      this.#events?.onBytes(buffer, bytes.length);
      buffer.fill(0xee);
    }
  }

  /** What waited to be sent has gone. */
  drain(): void {
    this.unsentBytes = 0;
    if (!this.isDestroyed) {
      this.#events?.onDrain();
    }
  }

  /** The peer ends its side. */
  peerEnds(): void {
    if (!this.isDestroyed) {
      this.#events?.onEnd();
    }
  }

  /** The peer is gone without a word. */
  peerBreaks(): void {
    if (!this.isDestroyed) {
      this.#events?.onError(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }));
      this.destroy();
    }
  }
}
