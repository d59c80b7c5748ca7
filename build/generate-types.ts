/**
 * Generates src/satellite/types.ts from the CRDs, which are the source of truth, and copies them into the chart:
 * a link would be lost in archives that leave links out.
 * `node build/generate-types.ts --check` only compares, and fails on a difference.
 */
import { readFile, readdir, writeFile } from "node:fs/promises";
import { compile, type JSONSchema } from "json-schema-to-typescript";
import { parse } from "yaml";

const CRD_FOLDER = new URL("../crds/", import.meta.url);
const CHART_FOLDER = new URL("../charts/satellites/files/crds/", import.meta.url);
const TARGET = new URL("../src/satellite/types.ts", import.meta.url);

const BANNER = `/* Generated from crds/ by build/generate-types.ts ("npm run generate"). Do not edit. */

import type { ObjectMeta } from "./object-meta.ts";
`;

interface CustomResourceDefinition {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly {
      readonly name: string;
      readonly storage: boolean;
      readonly schema: { readonly openAPIV3Schema: JSONSchema };
    }[];
  };
}

/** The schema with what TypeScript needs to know of it: objects are closed, as pruning makes them. */
function closed(schema: JSONSchema): JSONSchema {
  const result: JSONSchema = {};
  for (const [key, value] of Object.entries(schema)) {
    if (key.startsWith("x-kubernetes-") || key === "default" || key === "maxItems" || key === "minItems") {
      continue;
    }
    if (key === "properties") {
      result.properties = Object.fromEntries(
        Object.entries(value as Record<string, JSONSchema>).map(([name, child]) => [name, closed(child)]),
      );
    } else if (key === "items" || (key === "additionalProperties" && typeof value === "object")) {
      result[key] = closed(value as JSONSchema);
    } else {
      result[key] = value as unknown;
    }
  }
  if (result.type === "object") {
    result.additionalProperties ??= false;
  }
  return result;
}

/** Fields with a default are always there in what the API server answers. */
function requireDefaulted(schema: JSONSchema, original: JSONSchema): void {
  const required = new Set(Array.isArray(original.required) ? original.required : []);
  for (const [name, child] of Object.entries((original.properties ?? {}) as Record<string, JSONSchema>)) {
    if (child.default !== undefined) {
      required.add(name);
    }
    const target = (schema.properties ?? {})[name];
    if (target !== undefined) {
      requireDefaulted(target, child);
    }
  }
  for (const key of ["items", "additionalProperties"] as const) {
    const child: unknown = original[key];
    const target: unknown = schema[key];
    if (typeof child === "object" && child !== null && typeof target === "object" && target !== null) {
      requireDefaulted(target, child);
    }
  }
  if (required.size > 0) {
    schema.required = [...required];
  }
}

async function typesOf(file: string): Promise<string> {
  const crd = parse(await readFile(new URL(file, CRD_FOLDER), "utf8")) as CustomResourceDefinition;
  const version = crd.spec.versions.find((candidate) => candidate.storage);
  if (version === undefined) {
    throw new Error(`${file} has no storage version`);
  }
  const { group, names } = crd.spec;
  const original = version.schema.openAPIV3Schema;
  const schema = closed(original);
  requireDefaulted(schema, original);
  schema.properties = {
    ...schema.properties,
    apiVersion: { const: `${group}/${version.name}` },
    kind: { const: names.kind },
    metadata: { tsType: "ObjectMeta" },
  };
  schema.required = ["apiVersion", "kind", "metadata", ...((schema.required as string[]) ?? [])];
  return compile(schema, names.kind, { bannerComment: "", format: true, style: { printWidth: 110 } });
}

const files = (await readdir(CRD_FOLDER)).filter((name) => name.endsWith(".yaml")).toSorted();
const generated = [BANNER, ...(await Promise.all(files.map(typesOf)))].join("\n");

for (const file of files) {
  const original = await readFile(new URL(file, CRD_FOLDER), "utf8");
  const copy = new URL(file, CHART_FOLDER);
  if (!process.argv.includes("--check")) {
    await writeFile(copy, original);
  } else if ((await readFile(copy, "utf8").catch(() => "")) !== original) {
    console.error(`charts/satellites/files/crds/${file} differs from crds/; run: npm run generate`);
    process.exitCode = 1;
  }
}

if (process.argv.includes("--check")) {
  const current = await readFile(TARGET, "utf8").catch(() => "");
  if (current !== generated) {
    console.error("src/satellite/types.ts differs from the CRDs; run: npm run generate");
    process.exitCode = 1;
  }
} else {
  await writeFile(TARGET, generated);
}
