import type { GuestWords } from "./cloud.ts";

/** How a line of the console begins by which a guest says something of itself. */
export const CONSOLE_MARK = "satellites: ";
/** How the rest of such a line begins where it is about a failure. */
export const FAILURE_MARK = "failed: ";

/** Most characters of what a guest says; the rest of its line is cut off. */
const MAX_WORDS = 1024;
/** Whoever reads the satellite need not know the password of a mirror (RFC 3986, "userinfo"). */
const USERINFO = /\/\/[^/@\s]*@/g;
/** A carriage return ends a line too: terminals get both. */
const LINE = /[^\r\n]+/g;
const CONTROLS = /\p{Cc}/gu;

/**
 * What a guest has said last of itself, in all that is left of its console's output. Other programs write there too, so only
 * lines count that begin with {@link CONSOLE_MARK}. A guest is free to write what it likes: nothing may be decided by it.
 */
export function lastWordsOn(console: string): GuestWords | undefined {
  const line = console.match(LINE)?.findLast((one) => one.startsWith(CONSOLE_MARK));
  if (line === undefined) {
    return undefined;
  }
  const said = line.slice(CONSOLE_MARK.length).replace(CONTROLS, "").replace(USERINFO, "//").trim();
  const isFailure = said.startsWith(FAILURE_MARK);
  return { text: said.slice(isFailure ? FAILURE_MARK.length : 0).slice(0, MAX_WORDS), isFailure };
}
