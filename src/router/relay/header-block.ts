import { Http2ConnectionError } from "../../http2/errors.ts";
import { ErrorCode, Flag, FRAME_HEADER_BYTES } from "../../http2/protocol.ts";
import type { RelayLimits } from "./limits.ts";

/** A whole header block: buffer[from, to), and what its HEADERS frame said. */
export interface HeaderBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  /** The stream was made to depend on itself (RFC 7540 §5.3.1), which nghttp2 still rejects. */
  readonly dependsOnItself: boolean;
  readonly buffer: Buffer;
  readonly from: number;
  readonly to: number;
}

/** Bounds of one header block. */
export type BlockLimits = Pick<RelayLimits, "maxHeaderBlockBytes" | "maxContinuations">;

/** Puts HEADERS and CONTINUATION together (RFC 9113 §4.3), within bounds. */
export class HeaderBlockAssembler {
  readonly #limits: BlockLimits;
  #head: Omit<HeaderBlock, "buffer" | "from" | "to"> | undefined;
  #fragments: Buffer[] = [];
  #bytes = 0;

  constructor(limits: BlockLimits) {
    this.#limits = limits;
  }

  /** The stream whose block is unfinished; nothing but its CONTINUATION may come. 0 when there is none. */
  get openStreamId(): number {
    return this.#head?.streamId ?? 0;
  }

  /**
   * Takes a HEADERS frame that starts at `start`.
   *
   * @returns the block if it is whole
   * @throws Http2ConnectionError for wrong padding (§6.2) or a block over the bounds
   */
  headers(
    flags: number,
    streamId: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
  ): HeaderBlock | undefined {
    let from = start + FRAME_HEADER_BYTES;
    let to = from + payloadBytes;
    if ((flags & Flag.PADDED) !== 0) {
      to -= buffer[from] ?? 0;
      from += 1;
    }
    let dependsOnItself = false;
    if ((flags & Flag.PRIORITY) !== 0) {
      dependsOnItself = from + 5 <= to && (buffer.readUInt32BE(from) & 0x7fff_ffff) === streamId;
      from += 5;
    }
    if (from > to || payloadBytes === 0) {
      this.#requireWellFormed(from, to);
    }
    const endStream = (flags & Flag.END_STREAM) !== 0;
    if (to - from > this.#limits.maxHeaderBlockBytes) {
      throw tooLarge(to - from);
    }
    if ((flags & Flag.END_HEADERS) !== 0) {
      return { streamId, endStream, dependsOnItself, buffer, from, to };
    }
    this.#head = { streamId, endStream, dependsOnItself };
    this.#fragments = [Buffer.from(buffer.subarray(from, to))];
    this.#bytes = to - from;
    return undefined;
  }

  /** Takes a CONTINUATION frame; the reader of frames has checked that one may come. */
  continuation(flags: number, payloadBytes: number, buffer: Buffer, start: number): HeaderBlock | undefined {
    const from = start + FRAME_HEADER_BYTES;
    this.#bytes += payloadBytes;
    if (this.#bytes > this.#limits.maxHeaderBlockBytes) {
      throw tooLarge(this.#bytes);
    }
    if (
      this.#fragments.push(Buffer.from(buffer.subarray(from, from + payloadBytes))) >
      this.#limits.maxContinuations + 1
    ) {
      throw new Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many CONTINUATION frames");
    }
    const head = this.#head;
    if ((flags & Flag.END_HEADERS) === 0 || head === undefined) {
      return undefined;
    }
    const block = Buffer.concat(this.#fragments);
    this.#head = undefined;
    this.#fragments = [];
    return { ...head, buffer: block, from: 0, to: block.length };
  }

  #requireWellFormed(from: number, to: number): void {
    if (from > to) {
      throw new Http2ConnectionError(
        ErrorCode.PROTOCOL_ERROR,
        "a HEADERS frame with more padding than content",
      );
    }
  }
}

function tooLarge(sizeBytes: number): Http2ConnectionError {
  return new Http2ConnectionError(
    ErrorCode.ENHANCE_YOUR_CALM,
    `a header block of ${sizeBytes} bytes and more`,
  );
}
