import { encodeHuffman, huffmanBytes } from "./huffman.ts";
import { STATIC_NAMES } from "./static-table.ts";

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
