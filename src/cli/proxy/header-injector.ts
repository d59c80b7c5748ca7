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

  /** The bytes to send on for these. @param block the fields, as {@link encodeFields} writes them */
  push(chunk: Buffer, block: Buffer): Buffer[] {
    const out: Buffer[] = [];
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
          this.#headerBytes = 0;
          out.push(this.#begin(block));
        }
      }
      if (this.#payload === 0 && this.#behind !== undefined) {
        out.push(this.#behind);
        this.#behind = undefined;
      }
    }
    return out;
  }

  /** Begins a frame; returns its header as it is sent on. */
  #begin(block: Buffer): Buffer {
    const header = Buffer.from(this.#header);
    const length = header.readUIntBE(0, 3);
    const type = header[3] ?? 0;
    const flags = header[4] ?? 0;
    this.#payload = length;
    if (type === FrameType.HEADERS) {
      const stream = header.readUInt32BE(5) & MAX_31_BIT;
      this.#isRequest = stream > this.#newestStream;
      this.#newestStream = Math.max(this.#newestStream, stream);
    }
    const isOfBlock = type === FrameType.HEADERS || type === FrameType.CONTINUATION;
    if (!isOfBlock || (flags & Flag.END_HEADERS) === 0 || !this.#isRequest) {
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
