import { Http2ConnectionError } from "./errors.ts";
import type { SettingEntry } from "./frame-writer.ts";
import { DEFAULT_MAX_FRAME_BYTES, ErrorCode, MAX_31_BIT, Setting } from "./protocol.ts";

const MAX_MAX_FRAME_BYTES = 0xff_ffff;

/**
 * Reads the payload of a SETTINGS frame, in order and with repetitions (RFC 9113 §6.5.1).
 *
 * @param maxEntries most settings in one frame; an honest peer sends fewer than ten
 * @throws Http2ConnectionError for a length that is no multiple of six, a value out of range (§6.5.2), or
 *   too many settings
 */
export function parseSettings(buffer: Buffer, from: number, to: number, maxEntries = 64): SettingEntry[] {
  if ((to - from) % 6 !== 0) {
    throw new Http2ConnectionError(
      ErrorCode.FRAME_SIZE_ERROR,
      "SETTINGS of a length that is no multiple of 6",
    );
  }
  if ((to - from) / 6 > maxEntries) {
    throw new Http2ConnectionError(
      ErrorCode.ENHANCE_YOUR_CALM,
      `more than ${maxEntries} settings in a frame`,
    );
  }
  const entries: SettingEntry[] = [];
  for (let at = from; at < to; at += 6) {
    const entry: SettingEntry = [buffer.readUInt16BE(at), buffer.readUInt32BE(at + 2)];
    requireInRange(entry);
    entries.push(entry);
  }
  return entries;
}

function requireInRange([id, value]: SettingEntry): void {
  if (id === Setting.ENABLE_PUSH && value > 1) {
    throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, `ENABLE_PUSH ${value}; it is 0 or 1`);
  }
  if (id === Setting.INITIAL_WINDOW_SIZE && value > MAX_31_BIT) {
    throw new Http2ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, `INITIAL_WINDOW_SIZE ${value}`);
  }
  if (id === Setting.MAX_FRAME_SIZE && (value < DEFAULT_MAX_FRAME_BYTES || value > MAX_MAX_FRAME_BYTES)) {
    throw new Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, `MAX_FRAME_SIZE ${value}`);
  }
}
