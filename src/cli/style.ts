import { stripVTControlCharacters } from "node:util";
import type { CliContext, Output } from "./context.ts";

/** Puts a text into a colour, or leaves it as it is. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly good: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly bad: (text: string) => string;
}

/** Select Graphic Rendition, ECMA-48 section 8.3.117. */
const sgr = (code: number) => (text: string) => `\u001B[${code}m${text}\u001B[0m`;

const PLAIN: Style = {
  bold: (text) => text,
  dim: (text) => text,
  good: (text) => text,
  warn: (text) => text,
  bad: (text) => text,
};
const COLOURED: Style = { bold: sgr(1), dim: sgr(2), good: sgr(32), warn: sgr(33), bad: sgr(31) };

/** Colours on a terminal alone, and not where NO_COLOR (no-color.org) or TERM=dumb asks for none. */
export function styleFor(output: Output, { environment }: Pick<CliContext, "environment">): Style {
  const isWanted = (environment["NO_COLOR"] ?? "") === "" && environment["TERM"] !== "dumb";
  return output.isTTY === true && isWanted ? COLOURED : PLAIN;
}

/** "1 wake", "2 wakes". @param noun in the singular, whose plural has an s more */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** Width of a terminal; `otherwise` elsewhere, and for a pseudo-terminal that nobody gave a size, which says 0. */
export function columnsOf({ columns = 0 }: Pick<Output, "columns">, otherwise: number): number {
  return columns > 0 ? columns : otherwise;
}

const UNITS = [
  ["d", 86_400],
  ["h", 3_600],
  ["m", 60],
] as const;

/** A length of time as kubectl shows ages: its two largest units ("2d4h", "5m10s", "42s"). */
export function shortDuration(seconds: number): string {
  let rest = Math.max(0, Math.floor(seconds));
  const parts: string[] = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 || parts.length > 0) {
      parts.push(count > 0 ? `${count}${unit}` : "");
    }
    if (parts.length === 2) {
      return parts.join("");
    }
  }
  return rest > 0 || parts.length === 0 ? [...parts, `${rest}s`].join("") : parts.join("");
}

/** How long ago an RFC 3339 time was; "?" where it is absent or no time. */
export function age(time: string | undefined, now: Date): string {
  const thenMs = Date.parse(time ?? "");
  return Number.isNaN(thenMs) ? "?" : shortDuration((now.getTime() - thenMs) / 1000);
}

/**
 * Breaks a line between words where a terminal would break it anywhere; elsewhere it stays one line, for programs to read.
 *
 * @param indent spaces before what is broken off
 */
export function wrap(
  line: string,
  { isTTY, columns = 0 }: Pick<Output, "isTTY" | "columns">,
  indent: number,
): string {
  const width = Math.max(columns, 40 + indent);
  const visible = (text: string): number => stripVTControlCharacters(text).length;
  if (isTTY !== true || columns === 0 || visible(line) <= width) {
    return line;
  }
  const lines: string[] = [];
  let current = "";
  for (const word of line.split(/(?<=\S) (?=\S)/)) {
    if (current !== "" && visible(current) + 1 + visible(word) > width) {
      lines.push(current);
      current = " ".repeat(indent) + word;
    } else {
      current = current === "" ? word : `${current} ${word}`;
    }
  }
  return [...lines, current].join("\n");
}
