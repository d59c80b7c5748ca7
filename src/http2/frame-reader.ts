import { Http2ConnectionError } from "./errors.ts";
import { DEFAULT_MAX_FRAME_BYTES, ErrorCode, FRAME_HEADER_BYTES, FrameType } from "./protocol.ts";

/** What a {@link FrameReader} hands its frames to. Buffers belong to the reader's caller, who may fill them anew afterwards: what is kept is copied. */
export interface FrameSink {
  /** A whole frame that is not DATA: its header begins at `start`, its payload at `start` + 9. */
  onFrame(
    type: number,
    flags: number,
    streamId: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
  ): void;
  /**
   * The first part of a DATA frame, header included: buffer[start, end).
   *
   * @param payloadBytes of the whole frame
   */
  onData(
    flags: number,
    streamId: number,
    payloadBytes: number,
    buffer: Buffer,
    start: number,
    end: number,
  ): void;
  /** A further part of the DATA frame that began last. */
  onDataPart(buffer: Buffer, start: number, end: number): void;
}

/**
 * Cuts a stream of bytes into frames (RFC 9113 §4.1). DATA is handed on as it comes, without waiting and
 * without copying; every other frame is handed on whole, and copied only if it came in pieces.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #maxFrameBytes: number;
  /** Bytes of the current DATA frame that are still to come. */
  #dataRemaining = 0;
  /** Beginning of a frame that is not whole yet. */
  #partial: Buffer | undefined;
  #partialBytes = 0;
  #stopped = false;

  /** @param maxFrameBytes largest payload taken; more is FRAME_SIZE_ERROR (RFC 9113 §4.2) */
  constructor(sink: FrameSink, maxFrameBytes = DEFAULT_MAX_FRAME_BYTES) {
    this.#sink = sink;
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Whether all bytes that were handed on end with a whole frame, so that another frame may follow. */
  get atBoundary(): boolean {
    return this.#dataRemaining === 0;
  }

  /** Whether a frame has begun to arrive and is not whole. */
  get isMidFrame(): boolean {
    return this.#dataRemaining > 0 || this.#partialBytes > 0;
  }

  /** Hands on nothing further, not even what is left of the chunk in hand. */
  stop(): void {
    this.#stopped = true;
    this.#partial = undefined;
    this.#partialBytes = 0;
  }

  /**
   * Takes the next bytes: chunk[start, end).
   *
   * @throws Http2ConnectionError FRAME_SIZE_ERROR, and whatever the sink throws
   */
  read(chunk: Buffer, start = 0, end = chunk.length): void {
    let at = this.#dataRemaining === 0 ? start : this.#continueData(chunk, start, end);
    if (this.#partialBytes > 0) {
      at = this.#continuePartial(chunk, at, end);
    }
    while (end - at >= FRAME_HEADER_BYTES && !this.#stopped) {
      const next = this.#readFrame(chunk, at, end);
      if (next < 0) {
        break;
      }
      at = next;
    }
    if (at < end && !this.#stopped) {
      this.#keep(chunk, at, end);
    }
  }

  #continueData(chunk: Buffer, start: number, end: number): number {
    if (this.#dataRemaining === 0 || this.#stopped) {
      return start;
    }
    const stop = Math.min(end, start + this.#dataRemaining);
    this.#dataRemaining -= stop - start;
    this.#sink.onDataPart(chunk, start, stop);
    return stop;
  }

  /** @returns the place behind the frame, or -1 if the frame must be whole and is not */
  #readFrame(chunk: Buffer, at: number, end: number): number {
    const payloadBytes = ((chunk[at] ?? 0) << 16) | ((chunk[at + 1] ?? 0) << 8) | (chunk[at + 2] ?? 0);
    const type = chunk[at + 3] ?? 0;
    const flags = chunk[at + 4] ?? 0;
    const streamId =
      (((chunk[at + 5] ?? 0) & 0x7f) << 24) |
      ((chunk[at + 6] ?? 0) << 16) |
      ((chunk[at + 7] ?? 0) << 8) |
      (chunk[at + 8] ?? 0);
    const next = at + FRAME_HEADER_BYTES + payloadBytes;
    if (payloadBytes > this.#maxFrameBytes) {
      throw new Http2ConnectionError(ErrorCode.FRAME_SIZE_ERROR, `a frame of ${payloadBytes} bytes`);
    }
    if (type === FrameType.DATA) {
      const stop = Math.min(next, end);
      this.#dataRemaining = next - stop;
      this.#sink.onData(flags, streamId, payloadBytes, chunk, at, stop);
      return stop;
    }
    if (next > end) {
      return -1;
    }
    this.#sink.onFrame(type, flags, streamId, payloadBytes, chunk, at);
    return next;
  }

  /** Copies the beginning of a frame aside, into a buffer of the frame's own size. */
  #keep(chunk: Buffer, at: number, end: number): void {
    const available = end - at;
    const wholeBytes =
      available < FRAME_HEADER_BYTES ? FRAME_HEADER_BYTES : FRAME_HEADER_BYTES + chunk.readUIntBE(at, 3);
    this.#partial = Buffer.allocUnsafeSlow(wholeBytes);
    chunk.copy(this.#partial, 0, at, end);
    this.#partialBytes = available;
  }

  /** Completes the frame that was kept; header first, then, now that its length is known, the rest. */
  #continuePartial(chunk: Buffer, start: number, end: number): number {
    let at = start;
    while (this.#partial !== undefined && at < end) {
      const whole = this.#partial;
      const copied = chunk.copy(whole, this.#partialBytes, at, end);
      at += copied;
      this.#partialBytes += copied;
      if (this.#partialBytes < whole.length) {
        break;
      }
      const next = this.#readFrame(whole, 0, whole.length);
      this.#partial = undefined;
      this.#partialBytes = 0;
      if (next >= 0) {
        return this.#continueData(chunk, at, end);
      }
      this.#keep(whole, 0, whole.length);
    }
    return at;
  }
}
