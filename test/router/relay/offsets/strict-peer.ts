import { FrameReader, type FrameSink } from "../../../../src/http2/frame-reader.ts";
import { HpackDecoder } from "../../../../src/http2/hpack-decoder.ts";
import { Flag, FrameType } from "../../../../src/http2/protocol.ts";

/** A frame as it arrived, whole. */
export interface Arrived {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** A header block as it arrived. */
export interface ArrivedBlock {
  readonly id: number;
  readonly fields: ReadonlyMap<string, string>;
  readonly endStream: boolean;
}

/**
 * One end of an HTTP/2 connection that takes nothing amiss for granted: whole frames, header blocks without anything
 * between, its own dynamic table. It throws at what a real peer would end the connection for.
 */
export abstract class StrictPeer implements FrameSink {
  readonly #reader = new FrameReader(this);
  readonly #decoder = new HpackDecoder({ maxListBytes: 1 << 20 });
  #data:
    | { readonly flags: number; readonly id: number; readonly parts: Buffer[]; missing: number }
    | undefined;
  #block: { readonly id: number; readonly endStream: boolean; readonly parts: Buffer[] } | undefined;

  /** Whether what came so far ends with a whole frame, outside a header block. */
  get isWhole(): boolean {
    return !this.#reader.isMidFrame && this.#block === undefined;
  }

  /** Bytes of the other end arrive. */
  read(bytes: Buffer): void {
    this.#reader.read(bytes);
  }

  protected abstract onBlock(block: ArrivedBlock): void;
  protected abstract onContent(frame: Arrived): void;
  protected abstract onOther(frame: Arrived): void;

  onFrame(type: number, flags: number, id: number, sizeBytes: number, buffer: Buffer, start: number): void {
    const payload = Buffer.from(buffer.subarray(start + 9, start + 9 + sizeBytes));
    if (type === FrameType.HEADERS || type === FrameType.CONTINUATION) {
      this.#onBlockPart({ type, flags, id, payload });
      return;
    }
    this.#requireNoBlock(`a frame of type ${type}`);
    if (type > FrameType.CONTINUATION || type === FrameType.PUSH_PROMISE) {
      throw new Error(`a frame of type ${type} that nobody sends`);
    }
    this.onOther({ type, flags, id, payload });
  }

  onData(flags: number, id: number, sizeBytes: number, buffer: Buffer, start: number, end: number): void {
    this.#requireNoBlock("DATA");
    this.#data = { flags, id, parts: [], missing: sizeBytes };
    this.onDataPart(buffer, start + 9, end);
  }

  onDataPart(buffer: Buffer, start: number, end: number): void {
    const data = this.#data;
    if (data === undefined) {
      throw new Error("a part of no frame");
    }
    data.parts.push(Buffer.from(buffer.subarray(start, end)));
    data.missing -= end - start;
    if (data.missing === 0) {
      const { flags, id, parts } = data;
      this.onContent({ type: FrameType.DATA, flags, id, payload: Buffer.concat(parts) });
    }
  }

  #onBlockPart({ type, flags, id, payload }: Arrived): void {
    const isStart = type === FrameType.HEADERS;
    if (isStart) {
      this.#requireNoBlock("HEADERS");
      this.#block = { id, endStream: (flags & Flag.END_STREAM) !== 0, parts: [] };
    }
    if (this.#block?.id !== id) {
      throw new Error("CONTINUATION of no block");
    }
    this.#block.parts.push(isStart ? unpadded(payload, flags) : payload);
    if ((flags & Flag.END_HEADERS) !== 0) {
      const { endStream, parts } = this.#block;
      this.#block = undefined;
      const whole = Buffer.concat(parts);
      this.onBlock({ id, endStream, fields: new Map(this.#decoder.decode(whole, 0, whole.length).fields) });
    }
  }

  #requireNoBlock(what: string): void {
    if (this.#block !== undefined) {
      throw new Error(`${what} within the header block of stream ${this.#block.id}`);
    }
  }
}

/** The content of a DATA or HEADERS frame. */
export function unpadded(payload: Buffer, flags: number): Buffer {
  const isPadded = (flags & Flag.PADDED) !== 0;
  return isPadded ? payload.subarray(1, payload.length - (payload[0] ?? 0)) : payload;
}
