import { DynamicTable, fieldSizeBytes } from "./dynamic-table.ts";
import { Http2ConnectionError } from "./errors.ts";
import { decodeHuffman, maxDecodedBytes } from "./huffman.ts";
import { DEFAULT_HEADER_TABLE_BYTES, ErrorCode } from "./protocol.ts";
import { STATIC_TABLE, type HeaderField } from "./static-table.ts";

/** A decoded header block. */
export interface DecodedBlock {
  readonly fields: readonly HeaderField[];
  /** Places in `fields` that must never be indexed by anybody on the way (RFC 7541 §6.2.3). */
  readonly neverIndexed: ReadonlySet<number> | undefined;
  /** The list was larger than the bound; `fields` then ends before it. */
  readonly tooLarge: boolean;
  /** Size of the list, as MAX_HEADER_LIST_SIZE counts it (RFC 9113 §6.5.2). */
  readonly listBytes: number;
}

/** Bounds of {@link HpackDecoder}. */
export interface HpackDecoderOptions {
  /** SETTINGS_HEADER_TABLE_SIZE that we announced. Default 4096. */
  readonly maxTableBytes?: number;
  /** Largest decoded list, counted as MAX_HEADER_LIST_SIZE counts (RFC 9113 §6.5.2). */
  readonly maxListBytes: number;
  /** Most size updates in one block; an honest encoder needs two (RFC 7541 §4.2). Default 2. */
  readonly maxSizeUpdates?: number;
}

/** Largest integer taken: far above any length that fits a block, far below where arithmetic gets hard. */
const MAX_INTEGER = 0x0fff_ffff;

/** Space to undo Huffman coding in, shared by many decoders: each uses it within one call only. */
export class HpackScratch {
  #bytes: Buffer = Buffer.allocUnsafeSlow(4096);

  /** @returns a buffer of at least `sizeBytes`, valid until the next call */
  atLeast(sizeBytes: number): Buffer {
    if (this.#bytes.length < sizeBytes) {
      this.#bytes = Buffer.allocUnsafeSlow(sizeBytes);
    }
    return this.#bytes;
  }
}

function compressionError(message: string): Http2ConnectionError {
  return new Http2ConnectionError(ErrorCode.COMPRESSION_ERROR, message);
}

/** Decodes the header blocks of one direction of one connection (RFC 7541). Not to be used after it threw. */
export class HpackDecoder {
  readonly #table: DynamicTable;
  readonly #scratch: HpackScratch;
  readonly #maxTableBytes: number;
  readonly #maxListBytes: number;
  readonly #maxSizeUpdates: number;
  #source: Buffer = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  constructor(options: HpackDecoderOptions, scratch: HpackScratch = new HpackScratch()) {
    this.#maxTableBytes = options.maxTableBytes ?? DEFAULT_HEADER_TABLE_BYTES;
    this.#maxListBytes = options.maxListBytes;
    this.#maxSizeUpdates = options.maxSizeUpdates ?? 2;
    this.#table = new DynamicTable(this.#maxTableBytes);
    this.#scratch = scratch;
  }

  /** Rises with every change of the dynamic table; see {@link DynamicTable.generation}. */
  get generation(): number {
    return this.#table.generation;
  }

  /** Octets that the dynamic table counts now (RFC 7541 §4.1). */
  get tableSizeBytes(): number {
    return this.#table.sizeBytes;
  }

  /**
   * Decodes the block at source[from, to). A list over the bound is decoded to its end, because the dynamic
   * table must stay in step, but not kept.
   *
   * @throws Http2ConnectionError COMPRESSION_ERROR for anything that RFC 7541 calls a decoding error
   */
  decode(source: Buffer, from: number, to: number): DecodedBlock {
    this.#source = source;
    this.#at = from;
    this.#end = to;
    const fields: HeaderField[] = [];
    let neverIndexed: Set<number> | undefined;
    let listBytes = 0;
    this.#readSizeUpdates();
    while (this.#at < to) {
      const first = source[this.#at] ?? 0;
      const field = this.#readField(first);
      listBytes += fieldSizeBytes(field);
      if (listBytes <= this.#maxListBytes) {
        if ((first & 0xf0) === 0x10) {
          neverIndexed ??= new Set();
          neverIndexed.add(fields.length);
        }
        fields.push(field);
      }
    }
    return { fields, neverIndexed, tooLarge: listBytes > this.#maxListBytes, listBytes };
  }

  /** Size updates stand at the start of a block only (RFC 7541 §4.2). */
  #readSizeUpdates(): void {
    let updates = 0;
    while (this.#at < this.#end && ((this.#source[this.#at] ?? 0) & 0xe0) === 0x20) {
      const sizeBytes = this.#readInteger(5);
      updates += 1;
      if (sizeBytes > this.#maxTableBytes) {
        throw compressionError(`a dynamic table size update to ${sizeBytes}, above what was announced`);
      }
      if (updates > this.#maxSizeUpdates) {
        throw compressionError("too many dynamic table size updates in one header block");
      }
      this.#table.resize(sizeBytes);
    }
  }

  /** One field representation (RFC 7541 §6), told by the high bits of its first octet. */
  #readField(first: number): HeaderField {
    if ((first & 0x80) !== 0) {
      return this.#lookUp(this.#readInteger(7));
    }
    if ((first & 0x40) !== 0) {
      const field = this.#readLiteral(6);
      this.#table.insert(field);
      return field;
    }
    if ((first & 0x20) !== 0) {
      throw compressionError("a dynamic table size update behind a field");
    }
    return this.#readLiteral(4);
  }

  #readLiteral(prefixBits: number): HeaderField {
    const index = this.#readInteger(prefixBits);
    const name = index === 0 ? this.#readString() : this.#lookUp(index)[0];
    return [name, this.#readString()];
  }

  #lookUp(index: number): HeaderField {
    const field =
      index <= STATIC_TABLE.length
        ? STATIC_TABLE[index - 1]
        : this.#table.get(index - STATIC_TABLE.length - 1);
    if (field === undefined) {
      throw compressionError(`header index ${index}, which neither table has`);
    }
    return field;
  }

  /** An integer with an N-bit prefix (RFC 7541 §5.1). */
  #readInteger(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#readByte() & mask;
    if (value < mask) {
      return value;
    }
    for (let shift = 0; ; shift += 7) {
      const byte = this.#readByte();
      // Five continuation octets reach 35 bits; the product is exact in a double, unlike in a 32-bit shift.
      value += (byte & 0x7f) * 2 ** shift;
      if (value > MAX_INTEGER || shift > 28) {
        throw compressionError("an HPACK integer out of range");
      }
      if ((byte & 0x80) === 0) {
        return value;
      }
    }
  }

  #readByte(): number {
    if (this.#at >= this.#end) {
      throw compressionError("a header block that ends within a field");
    }
    const byte = this.#source[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }

  /** A string literal (RFC 7541 §5.2). */
  #readString(): string {
    const isHuffman = ((this.#source[this.#at] ?? 0) & 0x80) !== 0;
    const lengthBytes = this.#readInteger(7);
    const from = this.#at;
    const to = from + lengthBytes;
    if (to > this.#end) {
      throw compressionError("a string that reaches beyond its header block");
    }
    this.#at = to;
    if (!isHuffman) {
      return this.#source.toString("latin1", from, to);
    }
    const target = this.#scratch.atLeast(maxDecodedBytes(lengthBytes));
    return target.toString("latin1", 0, decodeHuffman(this.#source, from, to, target));
  }
}
