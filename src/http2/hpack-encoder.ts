import { encodeHuffman, huffmanBytes } from "./huffman.ts";
import { DynamicTable } from "./dynamic-table.ts";
import { DEFAULT_HEADER_TABLE_BYTES } from "./protocol.ts";
import { STATIC_NAMES, STATIC_TABLE, type HeaderField } from "./static-table.ts";

/** Most octets an integer of this encoder takes: lengths stay below 2^28 (RFC 7541 §5.1). */
const MAX_INTEGER_BYTES = 5;
/** Below this a loop over characters beats a call into native code. */
const SHORT_STRING_CHARS = 32;
/** From here on a string is Huffman-coded where that makes it shorter: nghttp2 takes none that is coded in more than 64 KiB. */
const LONG_STRING_CHARS = 32 * 1024;

/** Octets that {@link encodeField} needs at most for this field. */
export function maxFieldBytes(name: string, value: string): number {
  return name.length + value.length + 3 * MAX_INTEGER_BYTES;
}

/**
 * Writes one field without touching the peer's dynamic table: an index of the static table where the whole
 * field stands there, else a literal without indexing, or never indexed (RFC 7541 §6.1, §6.2.2, §6.2.3).
 * Blocks written so can be dropped, reordered and put between others.
 *
 * @param neverIndexed the field came as a never-indexed literal and must leave as one
 * @param target must have room for {@link maxFieldBytes}
 * @returns the place behind the field
 */
export function encodeField(
  target: Buffer,
  at: number,
  name: string,
  value: string,
  neverIndexed: boolean,
): number {
  const known = STATIC_NAMES.get(name);
  const whole = neverIndexed ? undefined : known?.values.get(value);
  // An empty value in the static table is a name without a value, but a field with an empty value equals it.
  if (whole !== undefined) {
    return encodeInteger(target, at, 0x80, 7, whole);
  }
  const pattern = neverIndexed ? 0x10 : 0x00;
  let next = encodeInteger(target, at, pattern, 4, known?.index ?? 0);
  if (known === undefined) {
    next = encodeString(target, next, name);
  }
  return encodeString(target, next, value);
}

/** Writes a dynamic table size update (RFC 7541 §6.3). */
export function encodeSizeUpdate(target: Buffer, at: number, sizeBytes: number): number {
  return encodeInteger(target, at, 0x20, 5, sizeBytes);
}

/** An integer with an N-bit prefix (RFC 7541 §5.1). */
function encodeInteger(
  target: Buffer,
  at: number,
  pattern: number,
  prefixBits: number,
  value: number,
): number {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) {
    target[at] = pattern | value;
    return at + 1;
  }
  target[at] = pattern | mask;
  let next = at + 1;
  let rest = value - mask;
  while (rest >= 0x80) {
    target[next] = (rest & 0x7f) | 0x80;
    next += 1;
    rest = Math.floor(rest / 128);
  }
  target[next] = rest;
  return next + 1;
}

/** How {@link HpackEncoder.encode} writes fields. */
export interface EncodeOptions {
  /** Places in the fields that must never be indexed by anybody on the way (RFC 7541 §6.2.3). */
  readonly neverIndexed?: ReadonlySet<number> | undefined;
  /** Names that are left out. */
  readonly drop?: ReadonlySet<string>;
}

/** Values from here on are not worth their place in the table. */
const MAX_INDEXED_BYTES = 1024;
/** Fields that may have been seen once; then all are forgotten. */
const MAX_SEEN = 64;
const MAX_SIZE_UPDATE_BYTES = 6;
const NO_NAMES: ReadonlySet<string> = new Set();

/**
 * Encodes the header blocks of one direction of one connection, in the order in which they leave (RFC 7541 §2.2). A field that
 * comes a second time enters the peer's dynamic table, and is one octet from then on: what never repeats (trace ids, times)
 * does not push out what does. Memory is taken by the first block: idle connections are many.
 */
export class HpackEncoder {
  #memory: EncoderMemory | undefined;
  /** What the peer allowed last, and the least that it ever did. */
  #peerBytes = DEFAULT_HEADER_TABLE_BYTES;
  #maxBytes = DEFAULT_HEADER_TABLE_BYTES;
  #announceBytes: number | undefined;
  #generation = 0;
  #isSettled = true;

  /**
   * Takes the peer's HEADER_TABLE_SIZE, which is to be acknowledged before the next block. The table only gets smaller: nobody
   * gains by more than 4 KiB.
   */
  adopt(sizeBytes: number): void {
    if (sizeBytes < this.#peerBytes) {
      this.#maxBytes = Math.min(this.#maxBytes, sizeBytes);
      this.#announceBytes = this.#maxBytes;
      this.#generation += 1;
      this.#memory?.table.resize(this.#maxBytes);
    }
    this.#peerBytes = sizeBytes;
  }

  /** Rises with every change of the table: until then, what was {@link isSettled} is written in the same bytes again. */
  get generation(): number {
    return this.#generation;
  }

  /** Whether the last block left everything as it was. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Encodes one block, which must be the next one that leaves. */
  encode(fields: readonly HeaderField[], options: EncodeOptions = {}): Buffer {
    const { neverIndexed, drop = NO_NAMES } = options;
    let sizeBytes = MAX_SIZE_UPDATE_BYTES;
    for (const [name, value] of fields) {
      sizeBytes += maxFieldBytes(name, value);
    }
    const block = Buffer.allocUnsafe(sizeBytes);
    // After a reduction was acknowledged the peer waits to hear of it (RFC 7541 §4.2).
    const announceBytes = this.#announceBytes;
    this.#announceBytes = undefined;
    let end = announceBytes === undefined ? 0 : encodeSizeUpdate(block, 0, announceBytes);
    this.#isSettled = announceBytes === undefined;
    for (let place = 0; place < fields.length; place += 1) {
      const field = fields[place];
      if (field !== undefined && !drop.has(field[0])) {
        end = this.#encodeField(block, end, field, neverIndexed?.has(place) ?? false);
      }
    }
    return block.subarray(0, end);
  }

  #encodeField(block: Buffer, at: number, field: HeaderField, isNeverIndexed: boolean): number {
    const [name, value] = field;
    const known = STATIC_NAMES.get(name);
    if (isNeverIndexed || known?.values.has(value) === true) {
      return encodeField(block, at, name, value, isNeverIndexed);
    }
    const places = this.#memory?.places.get(name);
    const place = places?.findLast((each) => each.value === value);
    if (place !== undefined) {
      return encodeInteger(block, at, 0x80, 7, this.#indexOf(place.number));
    }
    if (!this.#isWorthwhile(name, value)) {
      return encodeField(block, at, name, value, false);
    }
    const newest = places?.at(-1);
    const nameIndex = known?.index ?? (newest === undefined ? 0 : this.#indexOf(newest.number));
    let next = encodeInteger(block, at, 0x40, 6, nameIndex);
    if (nameIndex === 0) {
      next = encodeString(block, next, name);
    }
    this.#insert(field);
    return encodeString(block, next, value);
  }

  /** Newer fields stand before older ones, all of them behind the static table (RFC 7541 §2.3.3). */
  #indexOf(number: number): number {
    return STATIC_TABLE.length + (this.#memory?.inserted ?? 0) - number;
  }

  /** Whether a field that is not in the table enters it now. */
  #isWorthwhile(name: string, value: string): boolean {
    if (name.length + value.length > MAX_INDEXED_BYTES || this.#maxBytes < DEFAULT_HEADER_TABLE_BYTES) {
      return false;
    }
    this.#isSettled = false;
    const { seen } = (this.#memory ??= new EncoderMemory());
    const text = `${name}\0${value}`;
    if (seen.delete(text)) {
      return true;
    }
    if (seen.size >= MAX_SEEN) {
      seen.clear();
    }
    seen.add(text);
    return false;
  }

  #insert(field: HeaderField): void {
    this.#generation += 1;
    this.#memory?.insert(field);
  }
}

/** What an {@link HpackEncoder} remembers. */
class EncoderMemory {
  readonly table = new DynamicTable(DEFAULT_HEADER_TABLE_BYTES, ([name]) => this.#forgetOldest(name));
  /** The table's fields by name, the newest last, with how many had been inserted before each. */
  readonly places = new Map<string, { readonly value: string; readonly number: number }[]>();
  /** Fields that came once, lately. */
  readonly seen = new Set<string>();
  inserted = 0;

  insert(field: HeaderField): void {
    const [name, value] = field;
    this.table.insert(field);
    const place = { value, number: this.inserted };
    this.inserted += 1;
    const places = this.places.get(name);
    if (places === undefined) {
      this.places.set(name, [place]);
    } else {
      places.push(place);
    }
  }

  #forgetOldest(name: string): void {
    const places = this.places.get(name);
    places?.shift();
    if (places?.length === 0) {
      this.places.delete(name);
    }
  }
}

/** A string literal, without Huffman coding unless it is long: time matters more here than bytes between neighbours. */
function encodeString(target: Buffer, at: number, text: string): number {
  const codedBytes = text.length < LONG_STRING_CHARS ? Infinity : huffmanBytes(text);
  if (codedBytes < text.length) {
    return encodeHuffman(text, target, encodeInteger(target, at, 0x80, 7, codedBytes));
  }
  const start = encodeInteger(target, at, 0x00, 7, text.length);
  if (text.length > SHORT_STRING_CHARS) {
    return start + target.write(text, start, "latin1");
  }
  for (let index = 0; index < text.length; index += 1) {
    target[start + index] = text.charCodeAt(index);
  }
  return start + text.length;
}
