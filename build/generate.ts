/**
 * Generates all that is derived from other files and committed: types, copies of the CRDs, pages, the version elsewhere.
 * `node build/generate.ts --check` only compares, and fails on a difference.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const GENERATORS = [
  "generate-types.ts",
  "generate-crd-fields.ts",
  "generate-error-docs.ts",
  "generate-reference.ts",
  "sync-version.ts",
] as const;

for (const generator of GENERATORS) {
  const args = [join(import.meta.dirname, generator), ...process.argv.slice(2)];
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  if (status !== 0) {
    process.exitCode = 1;
  }
}
