import { DEFAULT_MAX_FRAME_BYTES, Flag, FRAME_HEADER_BYTES, FrameType } from "./protocol.ts";

/** One setting of a SETTINGS frame (RFC 9113 §6.5.1). */
export type SettingEntry = readonly [id: number, value: number];

/** Writes a frame header (RFC 9113 §4.1) at `at`. */
export function writeFrameHeader(
  target: Uint8Array,
  at: number,
  payloadBytes: number,
  type: number,
  flags: number,
  streamId: number,
): void {
  target[at] = payloadBytes >>> 16;
  target[at + 1] = payloadBytes >>> 8;
  target[at + 2] = payloadBytes;
  target[at + 3] = type;
  target[at + 4] = flags;
  target[at + 5] = streamId >>> 24;
  target[at + 6] = streamId >>> 16;
  target[at + 7] = streamId >>> 8;
  target[at + 8] = streamId;
}

function newFrame(payloadBytes: number, type: number, flags: number, streamId: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payloadBytes);
  writeFrameHeader(frame, 0, payloadBytes, type, flags, streamId);
  return frame;
}

/** A SETTINGS frame (RFC 9113 §6.5). */
export function settingsFrame(entries: readonly SettingEntry[]): Buffer {
  const frame = newFrame(entries.length * 6, FrameType.SETTINGS, 0, 0);
  for (const [place, [id, value]] of entries.entries()) {
    frame.writeUInt16BE(id, FRAME_HEADER_BYTES + place * 6);
    frame.writeUInt32BE(value, FRAME_HEADER_BYTES + place * 6 + 2);
  }
  return frame;
}

/** The acknowledgement of a SETTINGS frame. */
export function settingsAckFrame(): Buffer {
  return newFrame(0, FrameType.SETTINGS, Flag.ACK, 0);
}

/**
 * A PING frame (RFC 9113 §6.7).
 *
 * @param opaque 8 octets
 */
export function pingFrame(opaque: Uint8Array, isAck: boolean): Buffer {
  const frame = newFrame(8, FrameType.PING, isAck ? Flag.ACK : 0, 0);
  frame.set(opaque.subarray(0, 8), FRAME_HEADER_BYTES);
  return frame;
}

/** A WINDOW_UPDATE frame (RFC 9113 §6.9). */
export function windowUpdateFrame(streamId: number, incrementBytes: number): Buffer {
  const frame = newFrame(4, FrameType.WINDOW_UPDATE, 0, streamId);
  frame.writeUInt32BE(incrementBytes, FRAME_HEADER_BYTES);
  return frame;
}

/** A RST_STREAM frame (RFC 9113 §6.4). */
export function rstStreamFrame(streamId: number, errorCode: number): Buffer {
  const frame = newFrame(4, FrameType.RST_STREAM, 0, streamId);
  frame.writeUInt32BE(errorCode, FRAME_HEADER_BYTES);
  return frame;
}

/**
 * A GOAWAY frame (RFC 9113 §6.8).
 *
 * @param debug text for whoever looks at the wire; never a secret
 */
export function goAwayFrame(lastStreamId: number, errorCode: number, debug = ""): Buffer {
  const frame = newFrame(8 + Buffer.byteLength(debug), FrameType.GOAWAY, 0, 0);
  frame.writeUInt32BE(lastStreamId, FRAME_HEADER_BYTES);
  frame.writeUInt32BE(errorCode, FRAME_HEADER_BYTES + 4);
  frame.write(debug, FRAME_HEADER_BYTES + 8, "utf8");
  return frame;
}

/** Octets that {@link writeHeaderFrames} needs for a block. */
export function headerFramesBytes(blockBytes: number): number {
  return blockBytes + FRAME_HEADER_BYTES * Math.max(1, Math.ceil(blockBytes / DEFAULT_MAX_FRAME_BYTES));
}

/** HEADERS, and CONTINUATION where needed, with that block. */
export function headerFrames(streamId: number, block: Uint8Array, endStream: boolean): Buffer {
  const frames = Buffer.allocUnsafe(headerFramesBytes(block.length));
  writeHeaderFrames(frames, 0, streamId, block, endStream);
  return frames;
}

/**
 * Writes a header block as HEADERS and, where it is longer than the frame size that every peer takes,
 * CONTINUATION frames (RFC 9113 §4.3).
 *
 * @param block may lie in `target` itself only if it fits one frame and stands where its payload belongs
 * @returns the place behind the last frame
 */
export function writeHeaderFrames(
  target: Buffer,
  at: number,
  streamId: number,
  block: Uint8Array,
  endStream: boolean,
): number {
  let next = at;
  let from = 0;
  do {
    const to = Math.min(block.length, from + DEFAULT_MAX_FRAME_BYTES);
    const type = from === 0 ? FrameType.HEADERS : FrameType.CONTINUATION;
    const flags =
      (to === block.length ? Flag.END_HEADERS : 0) | (from === 0 && endStream ? Flag.END_STREAM : 0);
    writeFrameHeader(target, next, to - from, type, flags, streamId);
    target.set(block.subarray(from, to), next + FRAME_HEADER_BYTES);
    next += FRAME_HEADER_BYTES + to - from;
    from = to;
  } while (from < block.length);
  return next;
}
