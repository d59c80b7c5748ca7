/** What a run of mocha came to. */
export interface MochaCounts {
  readonly passing: number;
  readonly failing: number;
  readonly pending: number;
  /** Tests that failed and were tried again, whatever came of it (test-reporter.ts). */
  readonly retried: number;
  /** "failed: …" and "tried again: …", a line for each such test, with how it failed. */
  readonly trouble: readonly string[];
}

/** Reads the counts from what mocha printed. */
export function readMochaCounts(output: string): MochaCounts {
  const count = (words: string): number =>
    Number(new RegExp(`^\\s+(\\d+) ${words}`, "m").exec(output)?.[1] ?? 0);
  return {
    passing: count("passing"),
    failing: count("failing"),
    pending: count("pending"),
    retried: count("tried again after a failure"),
    trouble: [...output.matchAll(/^ {4}((?:failed|tried again): .*)$/gm)].map(([, line = ""]) => line),
  };
}
