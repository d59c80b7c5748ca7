/** A search, by a token, that has found nothing so far. */
export interface Search {
  readonly token: string;
  /** When it found nothing for the first time; monotonic milliseconds. */
  readonly sinceMs: number;
  /** When it did so last. */
  readonly atMs: number;
  readonly misses: number;
}

/** Takes note that a search has found nothing. */
export function noteMiss(memory: { search?: Search }, token: string, nowMs: number): void {
  const known = memory.search?.token === token ? memory.search : { token, sinceMs: nowMs, misses: 0 };
  memory.search = { ...known, atMs: nowMs, misses: known.misses + 1 };
}
