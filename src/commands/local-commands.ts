import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Programs by the name that people type; `kubectl-satellite` in PATH is what kubectl calls for `kubectl satellite`. */
const PROGRAMS = { satellites: "main.ts", "kubectl-satellite": "kubectl-satellite.ts" } as const;
const SOURCES = join(import.meta.dirname, "..");

/**
 * Writes `satellites` and `kubectl-satellite` into a folder for PATH. They run this source tree by the Node.js that runs now,
 * since the one in PATH may be older.
 *
 * @returns the folder, an absolute path
 */
export async function writeLocalCommands(stateDir: string): Promise<string> {
  const folder = join(stateDir, "bin");
  await mkdir(folder, { recursive: true });
  for (const [name, source] of Object.entries(PROGRAMS)) {
    const script = `#!/bin/sh\nexec ${quoted(process.execPath)} ${quoted(join(SOURCES, source))} "$@"\n`;
    await writeFile(join(folder, name), script, { mode: 0o755 });
  }
  return folder;
}

/** A word for the shell, whatever is in it. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
