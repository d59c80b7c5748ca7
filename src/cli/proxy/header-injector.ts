import { writeFrameHeader } from "../../http2/frame-writer.ts";
import { encodeField, maxFieldBytes } from "../../http2/hpack-encoder.ts";
import {
  CLIENT_PREFACE,
  DEFAULT_MAX_FRAME_BYTES,
  Flag,
  FRAME_HEADER_BYTES,
  FrameType,
  MAX_31_BIT,
} from "../../http2/protocol.ts";

/** Header fields by name, in lower case. */
export type Fields = readonly (readonly [name: string, value: string])[];

/**
 * Adds header fields to each request in the bytes of an HTTP/2 client, and leaves every other byte as it is. The fields
 * stand behind the client's own as literals that are never indexed (RFC 7541 section 6.2.3), so neither side's
 * compression state learns of them, and nothing of what the client sent has to be understood. Trailers get none.
 *
 * Flow control, settings, pings and the end of connections remain matters of client and server.
 */
export class HeaderInjector {
  /** Bytes of the preface that are still to come. */
  #preface = CLIENT_PREFACE.length;
  /** Bytes of a payload that are still to come and pass unchanged. */
  #payload = 0;
  /** What of a frame's header has come so far. */
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  /** The newest stream that the client opened: identifiers only grow (RFC 9113 section 5.1.1). */
  #newestStream = 0;
  /** Whether the header block under way belongs to a request. */
  #isRequest = false;
  /** Bytes to send behind the payload under way. */
  #behind: Buffer | undefined;
  /** What came behind the header of a frame that waits for fields. */
  #kept: Buffer | undefined;

  /** Whether a request waits for its fields: nothing behind it goes on before they are there. */
  get wantsFields(): boolean {
    return this.#kept !== undefined;
  }

  /**
   * The bytes to send on for these, up to a request that has no fields yet ({@link wantsFields}).
   *
   * @param more bytes from the client; none to go on with the fields alone
   * @param block the fields, as {@link encodeFields} writes them; absent where there are none at the moment
   */
  push(more: Buffer, block: Buffer | undefined): Buffer[] {
    const out: Buffer[] = [];
    let chunk = more;
    if (this.#kept !== undefined) {
      chunk = Buffer.concat([this.#kept, more]);
      if (block === undefined) {
        this.#kept = chunk;
        return out;
      }
      this.#kept = undefined;
      this.#headerBytes = 0;
      out.push(this.#begin(block));
      this.#sendBehind(out);
    }
    let at = 0;
    const pass = (bytes: number): void => {
      if (bytes > 0) {
        out.push(chunk.subarray(at, at + bytes));
        at += bytes;
      }
    };
    while (at < chunk.length) {
      const left = chunk.length - at;
      if (this.#preface > 0) {
        const bytes = Math.min(left, this.#preface);
        this.#preface -= bytes;
        pass(bytes);
      } else if (this.#payload > 0) {
        const bytes = Math.min(left, this.#payload);
        this.#payload -= bytes;
        pass(bytes);
      } else {
        const bytes = Math.min(left, FRAME_HEADER_BYTES - this.#headerBytes);
        chunk.copy(this.#header, this.#headerBytes, at, at + bytes);
        this.#headerBytes += bytes;
        at += bytes;
        if (this.#headerBytes === FRAME_HEADER_BYTES) {
          if (block === undefined && this.#endsRequest()) {
            this.#kept = chunk.subarray(at);
            return out;
          }
          this.#headerBytes = 0;
          out.push(this.#begin(block));
        }
      }
      this.#sendBehind(out);
    }
    return out;
  }

  #sendBehind(out: Buffer[]): void {
    if (this.#payload === 0 && this.#behind !== undefined) {
      out.push(this.#behind);
      this.#behind = undefined;
    }
  }

  /** Whether the header block of a request ends in the frame whose header has come. */
  #endsRequest(): boolean {
    const [type, flags] = [this.#header[3], this.#header[4] ?? 0];
    const isRequest = type === FrameType.HEADERS ? this.#stream() > this.#newestStream : this.#isRequest;
    const isOfBlock = type === FrameType.HEADERS || type === FrameType.CONTINUATION;
    return isOfBlock && isRequest && (flags & Flag.END_HEADERS) !== 0;
  }

  #stream(): number {
    return this.#header.readUInt32BE(5) & MAX_31_BIT;
  }

  /** Begins a frame; returns its header as it is sent on. @param block there for a frame that ends a request's block */
  #begin(block: Buffer | undefined): Buffer {
    const header = Buffer.from(this.#header);
    const length = header.readUIntBE(0, 3);
    const type = header[3] ?? 0;
    const flags = header[4] ?? 0;
    const endsRequest = this.#endsRequest();
    this.#payload = length;
    if (type === FrameType.HEADERS) {
      this.#isRequest = this.#stream() > this.#newestStream;
      this.#newestStream = Math.max(this.#newestStream, this.#stream());
    }
    if (!endsRequest || block === undefined) {
      return header;
    }
    const isPadded = type === FrameType.HEADERS && (flags & Flag.PADDED) !== 0;
    if (!isPadded && length + block.length <= DEFAULT_MAX_FRAME_BYTES) {
      header.writeUIntBE(length + block.length, 0, 3);
      this.#behind = block;
    } else {
      header[4] = flags & ~Flag.END_HEADERS;
      this.#behind = continuations(header.readUInt32BE(5), block);
    }
    return header;
  }
}

function continuations(stream: number, block: Buffer): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < block.length; at += DEFAULT_MAX_FRAME_BYTES) {
    const payload = block.subarray(at, at + DEFAULT_MAX_FRAME_BYTES);
    const isLast = at + DEFAULT_MAX_FRAME_BYTES >= block.length;
    const header = Buffer.alloc(FRAME_HEADER_BYTES);
    const flags = isLast ? Flag.END_HEADERS : 0;
    writeFrameHeader(header, 0, payload.length, FrameType.CONTINUATION, flags, stream);
    frames.push(header, payload);
  }
  return Buffer.concat(frames);
}

/** Fields as literals that are never indexed. */
export function encodeFields(fields: Fields): Buffer {
  const block = Buffer.alloc(fields.reduce((sum, [name, value]) => sum + maxFieldBytes(name, value), 0));
  const end = fields.reduce((at, [name, value]) => encodeField(block, at, name, value, true), 0);
  return block.subarray(0, end);
}
