/** One thing that happened in a story. */
export interface TraceEntry {
  readonly atMs: number;
  readonly kind: "effect" | "notification" | "read" | "process" | "person" | "guest" | "request";
  readonly process: string;
  /** Number among those of its kind and process; absent where nothing counts them. */
  readonly index?: number;
  readonly text: string;
}

/** Everything that happened, in order: what plans are derived from, and what a failure is read from. */
export class Trace {
  readonly entries: TraceEntry[] = [];
  readonly #counts = new Map<string, number>();

  /** Adds an entry and gives it its number. */
  count(atMs: number, kind: TraceEntry["kind"], process: string, text: string): number {
    const key = `${kind} ${process}`;
    const index = this.#counts.get(key) ?? 0;
    this.#counts.set(key, index + 1);
    this.entries.push({ atMs, kind, process, index, text });
    return index;
  }

  note(atMs: number, kind: TraceEntry["kind"], process: string, text: string): void {
    this.entries.push({ atMs, kind, process, text });
  }

  toString(): string {
    return this.entries
      .map(
        ({ atMs, kind, process, index, text }) =>
          `${String(Math.round(atMs)).padStart(9)} ${process} ${kind}${index === undefined ? "" : ` #${index}`}: ${text}`,
      )
      .join("\n");
  }
}
