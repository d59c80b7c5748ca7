import { Http2ConnectionError } from "../../http2/errors.ts";
import { writeFrameHeader } from "../../http2/frame-writer.ts";
import { ErrorCode, Flag, FRAME_HEADER_BYTES, FrameType } from "../../http2/protocol.ts";
import type { Outbox } from "./outbox.ts";

/**
 * One DATA frame that comes in parts, without its padding (RFC 9113 §6.1). Each part goes on as a frame of its own, so that
 * nothing that leaves the router ever ends within a frame: wherever the rest of it goes, or whether it comes at all, other
 * frames can follow.
 */
export class DataFrame {
  readonly streamId: number;
  readonly endStream: boolean;
  #restBytes: number;
  /** Undefined until the octet that says so has come. */
  #paddingBytes: number | undefined;

  constructor(streamId: number, flags: number, payloadBytes: number) {
    this.streamId = streamId;
    this.endStream = (flags & Flag.END_STREAM) !== 0;
    this.#restBytes = payloadBytes;
    const isPadded = (flags & Flag.PADDED) !== 0;
    this.#paddingBytes = isPadded ? undefined : 0;
    if (isPadded && payloadBytes === 0) {
      throw new Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a padded DATA frame without a length");
    }
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

/** Passes a whole DATA frame without padding on under another stream id: its header, at `start`, is rewritten in place. */
export function passData(
  out: Outbox,
  streamId: number,
  endStream: boolean,
  buffer: Buffer,
  start: number,
  end: number,
): void {
  const sizeBytes = end - start - FRAME_HEADER_BYTES;
  writeFrameHeader(buffer, start, sizeBytes, FrameType.DATA, endStream ? Flag.END_STREAM : 0, streamId);
  out.pass(buffer, start, end);
}

/** Writes one DATA frame; `content` is passed on in place, see {@link Outbox.pass}. */
export function writeData(out: Outbox, streamId: number, content: Buffer, endStream: boolean): void {
  const slabs = out.reserve(FRAME_HEADER_BYTES);
  const flags = endStream ? Flag.END_STREAM : 0;
  writeFrameHeader(slabs.slab, slabs.used, content.length, FrameType.DATA, flags, streamId);
  out.commit(slabs.used + FRAME_HEADER_BYTES);
  if (content.length > 0) {
    out.pass(content, 0, content.length);
  }
}
