/**
 * Writes the version of package.json, which is the only place where it is changed, to where others need it: the chart
 * and the image's labels. `node build/sync-version.ts --check` only compares, and fails on a difference.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");

/** A file and the lines of it that hold the version. */
const PLACES: readonly { readonly file: string; readonly lines: readonly RegExp[] }[] = [
  { file: "charts/satellites/Chart.yaml", lines: [/^(version: )(\S+)$/m, /^(appVersion: )(\S+)$/m] },
  { file: "Dockerfile", lines: [/(org\.opencontainers\.image\.version=)(\S+)/] },
];

const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  readonly version: string;
};
for (const { file, lines } of PLACES) {
  const before = readFileSync(join(ROOT, file), "utf8");
  const missing = lines.find((line) => !line.test(before));
  if (missing !== undefined) {
    throw new Error(`${file} has no line ${missing.source}`);
  }
  const after = lines.reduce((text, line) => text.replace(line, `$1${version}`), before);
  if (!process.argv.includes("--check")) {
    writeFileSync(join(ROOT, file), after);
  } else if (after !== before) {
    console.error(`${file} has another version than package.json; run: make generate`);
    process.exitCode = 1;
  }
}
