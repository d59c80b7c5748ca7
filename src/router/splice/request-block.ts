import { HpackDecoder, type DecodedBlock, type HpackScratch } from "../http2/hpack-decoder.ts";
import { headerFramesBytes, writeHeaderFrames } from "../http2/frame-writer.ts";
import { requestProblem } from "../http2/header-rules.ts";
import { DEFAULT_MAX_FRAME_BYTES, FRAME_HEADER_BYTES } from "../http2/protocol.ts";
import type { HeaderList } from "../engine.ts";
import type { HeaderBlock } from "./header-block.ts";
import type { Outbox } from "./outbox.ts";
import { encodeBlock } from "./stateless-block.ts";

/** A decoded header block of a request, with room to remember how it was re-encoded last. */
export interface RequestBlock extends DecodedBlock {
  /** What is wrong with it as a request (RFC 9113 §8.3.1). */
  readonly problem: string | undefined;
  /** The same bytes may come again: then remembering pays. */
  readonly isRepeatable: boolean;
  /** One HEADERS frame, and for which dropped names and end of stream. */
  encoded: EncodedRequest | undefined;
}

interface EncodedRequest {
  readonly frame: Buffer;
  readonly drop: ReadonlySet<string>;
  readonly endStream: boolean;
}

interface MemoEntry {
  readonly generation: number;
  readonly bytes: Uint8Array;
  readonly block: RequestBlock;
}

/** Few: clients repeat the request they just sent, and an idle connection is to stay small. */
const MEMO_ENTRIES = 4;
const MEMO_MAX_BYTES = 512;

/**
 * Decodes the header blocks of one connection's requests. Blocks that leave the dynamic table alone are
 * remembered by (bytes, state of the table): a client that sends the same request again sends the same
 * bytes. What is remembered is the decoding alone, never a decision that may expire.
 */
export class RequestDecoder {
  readonly #decoder: HpackDecoder;
  readonly #memo: MemoEntry[] = [];
  #oldest = 0;

  constructor(maxListBytes: number, scratch: HpackScratch) {
    this.#decoder = new HpackDecoder({ maxListBytes }, scratch);
  }

  /** @throws Http2ConnectionError COMPRESSION_ERROR */
  decode({ buffer, from, to }: HeaderBlock): RequestBlock {
    const generation = this.#decoder.generation;
    const known = this.#recall(generation, buffer, from, to);
    if (known !== undefined) {
      return known;
    }
    const decoded = this.#decoder.decode(buffer, from, to);
    const isRepeatable = this.#decoder.generation === generation && to - from <= MEMO_MAX_BYTES;
    const block = { ...decoded, problem: requestProblem(decoded.fields), isRepeatable, encoded: undefined };
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

  #recall(generation: number, buffer: Buffer, from: number, to: number): RequestBlock | undefined {
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

/**
 * Writes the HEADERS of a request, or of its trailers, to the VM.
 *
 * @param fields the block's own fields, or those fields with a shortened grpc-timeout
 */
export function writeRequest(
  out: Outbox,
  streamId: number,
  block: DecodedBlock & Partial<Pick<RequestBlock, "encoded" | "isRepeatable">>,
  fields: HeaderList,
  drop: ReadonlySet<string>,
  endStream: boolean,
): void {
  const known = block.encoded;
  if (
    known !== undefined &&
    fields === block.fields &&
    known.drop === drop &&
    known.endStream === endStream
  ) {
    writeFrame(out, known.frame, streamId);
    return;
  }
  const encoded = encodeBlock(fields, { neverIndexed: block.neverIndexed, drop });
  const sizeBytes = headerFramesBytes(encoded.length);
  const slabs = out.reserve(sizeBytes);
  const start = slabs.used;
  const end = writeHeaderFrames(slabs.slab, start, streamId, encoded, endStream);
  if (block.isRepeatable === true && fields === block.fields && encoded.length <= DEFAULT_MAX_FRAME_BYTES) {
    const frame = Buffer.allocUnsafeSlow(end - start);
    slabs.slab.copy(frame, 0, start, end);
    block.encoded = { frame, drop, endStream };
  }
  out.commit(end);
}

/** Copies a remembered HEADERS frame and gives it its stream id (RFC 9113 §4.1). */
function writeFrame(out: Outbox, frame: Buffer, streamId: number): void {
  const slabs = out.reserve(frame.length);
  const { slab, used } = slabs;
  frame.copy(slab, used);
  slab[used + FRAME_HEADER_BYTES - 4] = streamId >>> 24;
  slab[used + FRAME_HEADER_BYTES - 3] = streamId >>> 16;
  slab[used + FRAME_HEADER_BYTES - 2] = streamId >>> 8;
  slab[used + FRAME_HEADER_BYTES - 1] = streamId;
  out.commit(used + frame.length);
}
