/**
 * Generates src/cli/doctor/crd-fields.ts from the CRDs: which fields they have, by which `kubectl satellite doctor` tells
 * whether a cluster's CRDs are those of its version.
 * `node build/generate-crd-fields.ts --check` only compares, and fails on a difference.
 */
import { readFile, writeFile } from "node:fs/promises";
import { fieldPaths } from "../src/cli/doctor/definition-fields.ts";
import { SATELLITES } from "../src/satellite/resource.ts";
import { readCrds } from "./generate-reference.ts";

const TARGET = new URL("../src/cli/doctor/crd-fields.ts", import.meta.url);

const BANNER = `/* Generated from crds/ by build/generate-crd-fields.ts ("npm run generate"). Do not edit. */

/** The fields of each definition of this version: their names, by the path of what holds them. */
export const CRD_FIELDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
`;

/** The fields, by the path of what holds them. */
function byHolder(paths: readonly string[]): Map<string, string[]> {
  const held = new Map<string, string[]>();
  for (const path of paths) {
    const dot = path.lastIndexOf(".");
    const holder = path.slice(0, Math.max(dot, 0));
    held.set(holder, [...(held.get(holder) ?? []), path.slice(dot + 1)]);
  }
  return held;
}

const definitions = [...(await readCrds()).values()].map(({ spec }) => {
  const used = spec.versions.find(({ name }) => name === SATELLITES.version);
  const lines = [...byHolder(fieldPaths(used?.schema.openAPIV3Schema))].map(
    ([holder, names]) => `    ${JSON.stringify(holder)}: ${JSON.stringify(names.join(" "))},\n`,
  );
  return `  ${JSON.stringify(`${spec.names.plural}.${spec.group}`)}: {\n${lines.join("")}  },\n`;
});
const generated = `${BANNER}${definitions.join("")}};\n`;

if (!process.argv.includes("--check")) {
  await writeFile(TARGET, generated);
} else if ((await readFile(TARGET, "utf8").catch(() => "")) !== generated) {
  console.error("src/cli/doctor/crd-fields.ts differs from the CRDs; run: npm run generate");
  process.exitCode = 1;
}
