import { Http2ConnectionError } from "../http2/errors.ts";
import { ErrorCode, Flag } from "../http2/protocol.ts";

/** Takes the padding off one DATA frame that comes in parts (RFC 9113 §6.1). */
export class DataContent {
  readonly endStream: boolean;
  #restBytes: number;
  /** Undefined until the octet that says so has come. */
  #paddingBytes: number | undefined;

  constructor(flags: number, payloadBytes: number) {
    this.endStream = (flags & Flag.END_STREAM) !== 0;
    this.#restBytes = payloadBytes;
    this.#paddingBytes = (flags & Flag.PADDED) === 0 ? 0 : undefined;
  }

  /** Whether all parts have come. */
  get isWhole(): boolean {
    return this.#restBytes === 0;
  }

  /**
   * The content among the next part of the payload, buffer[start, end).
   *
   * @throws Http2ConnectionError PROTOCOL_ERROR for more padding than payload
   */
  take(buffer: Buffer, start: number, end: number): Buffer {
    let from = start;
    if (this.#paddingBytes === undefined && from < end) {
      this.#paddingBytes = buffer[from] ?? 0;
      this.#restBytes -= 1;
      from += 1;
      if (this.#paddingBytes > this.#restBytes) {
        throw new Http2ConnectionError(
          ErrorCode.PROTOCOL_ERROR,
          "a DATA frame with more padding than content",
        );
      }
    }
    const contentBytes = Math.max(0, Math.min(end - from, this.#restBytes - (this.#paddingBytes ?? 0)));
    this.#restBytes -= end - from;
    return buffer.subarray(from, from + contentBytes);
  }
}
