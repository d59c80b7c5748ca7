import type { Random } from "../../base/backoff.ts";

// apimachinery's `rand.String`: no vowels and no characters that look alike, so that names contain no words.
const SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH = 5;
const MAX_GENERATED_NAME_LENGTH = 63;

/** A random UUID (RFC 9562, version 4). */
export function randomUid(random: Random): string {
  const bytes = Array.from({ length: 16 }, () => Math.floor(random() * 256));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** A name for `metadata.generateName`: the prefix, cut if need be, and five random characters. */
export function generateName(prefix: string, random: Random): string {
  const suffix = Array.from(
    { length: SUFFIX_LENGTH },
    () => SUFFIX_ALPHABET[Math.floor(random() * SUFFIX_ALPHABET.length)],
  );
  return prefix.slice(0, MAX_GENERATED_NAME_LENGTH - SUFFIX_LENGTH) + suffix.join("");
}
