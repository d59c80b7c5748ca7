import {
  HpackDecoder,
  type DecodedBlock,
  type HpackDecoderOptions,
  type HpackScratch,
} from "../../http2/hpack-decoder.ts";
import type { HpackEncoder } from "../../http2/hpack-encoder.ts";
import { headerFramesBytes, writeHeaderFrames } from "../../http2/frame-writer.ts";
import { DEFAULT_MAX_FRAME_BYTES, FRAME_HEADER_BYTES } from "../../http2/protocol.ts";
import type { HeaderList } from "../engine.ts";
import { firstValue } from "../header-list.ts";
import type { HeaderBlock } from "./header-block.ts";
import type { Outbox } from "./outbox.ts";

/** A decoded header block, with room to remember how it was re-encoded last. */
export interface Block extends DecodedBlock {
  /** What is wrong with it (RFC 9113 §8). */
  readonly problem: string | undefined;
  /** Octets of content that are announced, where they are. */
  readonly contentLength: number | undefined;
  /** The same bytes may come again: then remembering pays. */
  readonly isRepeatable: boolean;
  /** One HEADERS frame, and for which dropped names and end of stream. */
  encoded: EncodedBlock | undefined;
}

interface EncodedBlock {
  readonly frame: Buffer;
  readonly drop: ReadonlySet<string>;
  readonly endStream: boolean;
  readonly encoder: HpackEncoder;
  readonly generation: number;
}

interface MemoEntry {
  readonly generation: number;
  readonly bytes: Uint8Array;
  readonly block: Block;
}

/** Few: peers repeat what they just sent, and an idle connection is to stay small. */
const MEMO_ENTRIES = 4;
const MEMO_MAX_BYTES = 512;

/**
 * Decodes the header blocks of one direction of one connection. Blocks that leave the dynamic table alone are
 * remembered by (bytes, state of the table): a peer that sends the same fields again sends the same
 * bytes. What is remembered is the decoding alone, never a decision that may expire.
 */
export class BlockDecoder {
  readonly #decoder: HpackDecoder;
  readonly #judge: (fields: HeaderList) => string | undefined;
  readonly #memo: MemoEntry[] = [];
  #oldest = 0;

  /** @param judge says what is wrong with a list of fields */
  constructor(
    options: HpackDecoderOptions,
    scratch: HpackScratch,
    judge: (fields: HeaderList) => string | undefined,
  ) {
    this.#decoder = new HpackDecoder(options, scratch);
    this.#judge = judge;
  }

  /** @throws Http2ConnectionError COMPRESSION_ERROR */
  decode({ buffer, from, to }: Pick<HeaderBlock, "buffer" | "from" | "to">): Block {
    const generation = this.#decoder.generation;
    const known = this.#recall(generation, buffer, from, to);
    if (known !== undefined) {
      return known;
    }
    const decoded = this.#decoder.decode(buffer, from, to);
    const isRepeatable = this.#decoder.generation === generation && to - from <= MEMO_MAX_BYTES;
    const { fields } = decoded;
    const length = firstValue(fields, "content-length");
    const block = {
      ...decoded,
      problem: this.#judge(fields),
      contentLength: length === undefined ? undefined : Number(length),
      isRepeatable,
      encoded: undefined,
    };
    if (isRepeatable) {
      this.#memo[this.#oldest] = {
        generation,
        bytes: Uint8Array.prototype.slice.call(buffer, from, to),
        block,
      };
      this.#oldest = (this.#oldest + 1) % MEMO_ENTRIES;
    }
    return block;
  }

  #recall(generation: number, buffer: Buffer, from: number, to: number): Block | undefined {
    for (const entry of this.#memo) {
      if (entry.generation === generation && isSame(entry.bytes, buffer, from, to)) {
        return entry.block;
      }
    }
    return undefined;
  }
}

function isSame(bytes: Uint8Array, buffer: Buffer, from: number, to: number): boolean {
  if (bytes.length !== to - from) {
    return false;
  }
  for (let place = 0; place < bytes.length; place += 1) {
    if (bytes[place] !== buffer[from + place]) {
      return false;
    }
  }
  return true;
}

/** How {@link writeBlock} writes a block. */
export interface WriteOptions {
  /** Other fields than the block's own: a request with a shortened grpc-timeout. */
  readonly fields?: HeaderList | undefined;
  /** Names that are left out. */
  readonly drop?: ReadonlySet<string>;
}

const NO_NAMES: ReadonlySet<string> = new Set();
const AS_IT_IS: WriteOptions = {};

/**
 * Writes HEADERS, and CONTINUATION where needed, with the fields of a block, encoded anew.
 *
 * @param encoder the one of all blocks that leave by `out`
 */
export function writeBlock(
  out: Outbox,
  encoder: HpackEncoder,
  streamId: number,
  block: Block,
  endStream: boolean,
  options: WriteOptions = AS_IT_IS,
): void {
  const { drop = NO_NAMES } = options;
  const fields = options.fields ?? block.fields;
  const isOwn = fields === block.fields;
  const known = block.encoded;
  if (
    isOwn &&
    known !== undefined &&
    known.encoder === encoder &&
    known.generation === encoder.generation &&
    known.drop === drop &&
    known.endStream === endStream
  ) {
    writeFrame(out, known.frame, streamId);
    return;
  }
  const encoded = encoder.encode(fields, { neverIndexed: block.neverIndexed, drop });
  const slabs = out.reserve(headerFramesBytes(encoded.length));
  const start = slabs.used;
  const end = writeHeaderFrames(slabs.slab, start, streamId, encoded, endStream);
  const { generation, isSettled } = encoder;
  if (isOwn && isSettled && block.isRepeatable && encoded.length <= DEFAULT_MAX_FRAME_BYTES) {
    const frame = Buffer.allocUnsafeSlow(end - start);
    slabs.slab.copy(frame, 0, start, end);
    block.encoded = { frame, drop, endStream, encoder, generation };
  }
  out.commit(end);
}

/** Copies a remembered HEADERS frame and gives it its stream id (RFC 9113 §4.1). */
function writeFrame(out: Outbox, frame: Buffer, streamId: number): void {
  const slabs = out.reserve(frame.length);
  const { slab, used } = slabs;
  slab.set(frame, used);
  slab[used + FRAME_HEADER_BYTES - 4] = streamId >>> 24;
  slab[used + FRAME_HEADER_BYTES - 3] = streamId >>> 16;
  slab[used + FRAME_HEADER_BYTES - 2] = streamId >>> 8;
  slab[used + FRAME_HEADER_BYTES - 1] = streamId;
  out.commit(used + frame.length);
}
