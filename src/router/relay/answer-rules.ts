import type { HeaderList } from "../engine.ts";

/** What a header block of an answer is (RFC 9113 §8.1): interim ones may precede the final one, trailers end it. */
export type BlockKind = "interim" | "final" | "trailers";

/** Tells by the status, which stands first where there is one. */
export function kindOf(fields: HeaderList): BlockKind {
  const [name, value = ""] = fields[0] ?? [];
  return name !== ":status" ? "trailers" : value.startsWith("1") ? "interim" : "final";
}

/**
 * Says what is wrong with the place of a block in its answer, if anything is.
 *
 * @param hasBegun whether the final headers have passed
 */
export function misplaced(kind: BlockKind, hasBegun: boolean, endStream: boolean): string | undefined {
  if (kind === "trailers") {
    return !hasBegun ? "headers without a status" : endStream ? undefined : "trailers that do not end it";
  }
  if (hasBegun) {
    return "a second status";
  }
  return kind === "interim" && endStream ? "an end behind an interim status" : undefined;
}
