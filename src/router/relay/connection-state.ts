/** How far a client's connection has come. */
export type ConnectionState =
  /** Its preface has not come whole (RFC 9113 §3.4). */
  | { readonly name: "greeting"; readonly received: Buffer; readonly drains: boolean }
  /** It is answered; requests are held and passed on. */
  | { readonly name: "open" }
  /** All was said: what is written still goes out, and nothing that comes is heard. */
  | { readonly name: "finished"; readonly sinceMs: number }
  /** It is forgotten. */
  | { readonly name: "closed" };

type Name = ConnectionState["name"];

/** It only goes on, never back. */
const NEXT: Readonly<Record<Name, readonly Name[]>> = {
  greeting: ["greeting", "open", "finished", "closed"],
  open: ["finished", "closed"],
  finished: ["closed"],
  closed: [],
};

/**
 * The only way from one state to another.
 *
 * @returns undefined where there is no such way: what wanted to go it comes too late
 */
export function moveOn(from: ConnectionState, to: ConnectionState): ConnectionState | undefined {
  return NEXT[from.name].includes(to.name) ? to : undefined;
}
