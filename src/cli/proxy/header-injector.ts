/** What begins every HTTP/2 connection of a client (RFC 9113 section 3.4). */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** RFC 9113 section 4.1. */
const FRAME_HEADER_BYTES = 9;
const HEADERS = 0x1;
const CONTINUATION = 0x9;
const END_HEADERS = 0x4;
const PADDED = 0x8;
/** Largest payload that every peer takes (RFC 9113 section 4.2). */
const MAX_FRAME_BYTES = 16_384;
/** The reserved bit before a stream identifier. */
const STREAM_MASK = 0x7fff_ffff;

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
  #preface = PREFACE.length;
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
    if (type === HEADERS) {
      const stream = header.readUInt32BE(5) & STREAM_MASK;
      this.#isRequest = stream > this.#newestStream;
      this.#newestStream = Math.max(this.#newestStream, stream);
    }
    const endsBlock = (type === HEADERS || type === CONTINUATION) && (flags & END_HEADERS) !== 0;
    if (!endsBlock || !this.#isRequest) {
      return header;
    }
    const isPadded = type === HEADERS && (flags & PADDED) !== 0;
    if (!isPadded && length + block.length <= MAX_FRAME_BYTES) {
      header.writeUIntBE(length + block.length, 0, 3);
      this.#behind = block;
    } else {
      header[4] = flags & ~END_HEADERS;
      this.#behind = continuations(header.readUInt32BE(5), block);
    }
    return header;
  }
}

function continuations(stream: number, block: Buffer): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < block.length; at += MAX_FRAME_BYTES) {
    const payload = block.subarray(at, at + MAX_FRAME_BYTES);
    const isLast = at + MAX_FRAME_BYTES >= block.length;
    frames.push(frameHeader(payload.length, CONTINUATION, isLast ? END_HEADERS : 0, stream), payload);
  }
  return Buffer.concat(frames);
}

/** The nine octets before a frame's payload. */
export function frameHeader(length: number, type: number, flags: number, stream: number): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES);
  header.writeUIntBE(length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return header;
}

/** Fields as literals that are never indexed, without Huffman code. */
export function encodeFields(fields: Fields): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.of(0x10), stringLiteral(name), stringLiteral(value)]),
  );
}

/** RFC 7541 sections 5.1 and 5.2. */
function stringLiteral(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  const length: number[] = [];
  if (bytes.length < 127) {
    length.push(bytes.length);
  } else {
    length.push(127);
    let rest = bytes.length - 127;
    while (rest >= 128) {
      length.push((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}
