import type { HeaderList } from "../engine.ts";
import { headerFramesBytes, writeHeaderFrames } from "../../http2/frame-writer.ts";
import { encodeField, encodeSizeUpdate, maxFieldBytes } from "../../http2/hpack-encoder.ts";

const MAX_SIZE_UPDATE_BYTES = 6;
const NO_NAMES: ReadonlySet<string> = new Set();

/** How {@link encodeBlock} writes fields. */
export interface BlockOptions {
  /** Places in the fields that must never be indexed by anybody on the way (RFC 7541 §6.2.3). */
  readonly neverIndexed?: ReadonlySet<number> | undefined;
  /** Names that are left out. */
  readonly drop?: ReadonlySet<string>;
  /** Dynamic table size that the peer waits to hear of (RFC 7541 §4.2). */
  readonly tableSizeBytes?: number | undefined;
}

/**
 * Encodes fields into one header block of literals without indexing: it leaves the peer's dynamic table as it is, wherever
 * it is put between the blocks of another encoder.
 */
export function encodeBlock(fields: HeaderList, options: BlockOptions = {}): Buffer {
  const { neverIndexed, drop = NO_NAMES, tableSizeBytes } = options;
  let sizeBytes = MAX_SIZE_UPDATE_BYTES;
  for (const [name, value] of fields) {
    sizeBytes += maxFieldBytes(name, value);
  }
  const block = Buffer.allocUnsafe(sizeBytes);
  let end = tableSizeBytes === undefined ? 0 : encodeSizeUpdate(block, 0, tableSizeBytes);
  for (let place = 0; place < fields.length; place += 1) {
    const field = fields[place];
    if (field !== undefined && !drop.has(field[0])) {
      end = encodeField(block, end, field[0], field[1], neverIndexed?.has(place) ?? false);
    }
  }
  return block.subarray(0, end);
}

/** HEADERS, and CONTINUATION where needed, with that block. */
export function headerFrames(streamId: number, block: Uint8Array, endStream: boolean): Buffer {
  const frames = Buffer.allocUnsafe(headerFramesBytes(block.length));
  writeHeaderFrames(frames, 0, streamId, block, endStream);
  return frames;
}
