import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { SatelliteError, toError } from "../../base/errors.ts";
import { compileRules } from "./cel-rules.ts";
import { asObject, asString, asStrings, isObject, valueAt, type JsonObject, type JsonValue } from "./json.ts";
import { compileJsonPath } from "./json-path.ts";
import { nameOf, namespaceOf } from "./object-meta.ts";
import type { Resource, Verb } from "./resource.ts";
import type { SelectableFields } from "./selectors.ts";
import { visitSchemas, type StructuralSchema } from "./structural-schema.ts";
import { customLayout, type PrinterColumn } from "./table-layouts.ts";

/** What can be done with custom resources. */
export const ALL_VERBS: readonly Verb[] = [
  "delete",
  "deletecollection",
  "get",
  "list",
  "patch",
  "create",
  "update",
  "watch",
];

/**
 * Reads a CustomResourceDefinition from a YAML file.
 *
 * @throws SatelliteError `CrdUnreadable` when there is no such file or it holds something else
 */
export function readCrdFile(path: string): JsonObject {
  try {
    const document: unknown = parse(readFileSync(path, "utf8"));
    if (isObject(document) && document["kind"] === "CustomResourceDefinition") {
      return document;
    }
  } catch (error) {
    throw unreadable(path, toError(error).message, error);
  }
  throw unreadable(path, "it is not a CustomResourceDefinition", undefined);
}

function unreadable(path: string, why: string, cause: unknown): SatelliteError {
  return new SatelliteError(
    "CrdUnreadable",
    `cannot read the CustomResourceDefinition ${path}: ${why}; restore the file from the distribution`,
    { cause },
  );
}

/**
 * The resources that a CRD defines: one for each served version. Conversion between versions is by `None`: only
 * apiVersion changes.
 *
 * @throws SatelliteError when the CRD needs something that this server does not do: `UnsupportedCrd`,
 *   `UnsupportedRule`, `UnsupportedJsonPath`
 */
export function resourcesOf(crd: JsonObject): readonly Resource[] {
  let resources = compiled.get(crd);
  if (resources === undefined) {
    resources = compileCrd(crd);
    compiled.set(crd, resources);
  }
  return resources;
}

/** Compiling rules takes much longer than a request, so servers in one process share the result. */
const compiled = new WeakMap<JsonObject, readonly Resource[]>();

function compileCrd(crd: JsonObject): Resource[] {
  const name = nameOf(crd);
  const spec = asObject(crd["spec"]);
  const versions = (Array.isArray(spec["versions"]) ? spec["versions"] : []).map((item) => asObject(item));
  const storage = versions.find((version) => version["storage"] === true);
  if (storage === undefined) {
    throw unsupported(name, "no version is the storage version");
  }
  if (valueAt(spec, "conversion", "strategy") === "Webhook") {
    throw unsupported(name, "conversion webhooks are not called here");
  }
  return versions
    .filter((version) => version["served"] === true)
    .map((version) => resourceOf(name, spec, version, asString(storage["name"])));
}

function unsupported(name: string, why: string): SatelliteError {
  return new SatelliteError("UnsupportedCrd", `the CRD ${name} cannot be served: ${why}; mend the CRD`);
}

function resourceOf(name: string, spec: JsonObject, version: JsonObject, storageVersion: string): Resource {
  const names = asObject(spec["names"]);
  const group = asString(spec["group"]);
  const kind = asString(names["kind"]);
  const plural = asString(names["plural"]);
  const namespaced = spec["scope"] === "Namespaced";
  const schema = schemaOf(name, version);
  const subresources = asObject(version["subresources"]);
  if (subresources["scale"] !== undefined) {
    throw unsupported(name, "the scale subresource is not served here");
  }
  const versionName = asString(version["name"]);
  return {
    group,
    version: versionName,
    kind,
    listKind: asString(names["listKind"]) || `${kind}List`,
    plural,
    singular: asString(names["singular"]) || kind.toLowerCase(),
    shortNames: asStrings(names["shortNames"]),
    categories: asStrings(names["categories"]),
    namespaced,
    verbs: ALL_VERBS,
    collection: `${group}/${plural}`,
    schema,
    isCustom: true,
    hasStatus: subresources["status"] !== undefined,
    hasGeneration: true,
    allowsUnconditionalUpdate: false,
    allowsCreateOnUpdate: false,
    nameRule: "dns-subdomain",
    rules: compileRules(schema, `${name} ${versionName}`),
    selectableFields: selectableFieldsOf(version, namespaced),
    table: customLayout(
      version["additionalPrinterColumns"] as unknown as readonly PrinterColumn[] | undefined,
    ),
    fromStorage: (object) => ({ ...object, apiVersion: `${group}/${versionName}` }),
    toStorage: (object) => ({ ...object, apiVersion: `${group}/${storageVersion}` }),
  };
}

/** The version's schema, with patterns known to compile. */
function schemaOf(name: string, version: JsonObject): StructuralSchema {
  const schema = valueAt(version, "schema", "openAPIV3Schema");
  if (!isObject(schema)) {
    throw unsupported(name, `version ${asString(version["name"])} has no schema`);
  }
  const structural = schema as unknown as StructuralSchema;
  visitSchemas(structural, ({ pattern }, path) => {
    if (pattern !== undefined) {
      checkPattern(name, path, pattern);
    }
  });
  return structural;
}

function checkPattern(name: string, path: string, pattern: string): void {
  try {
    RegExp(pattern, "u");
  } catch (error) {
    throw unsupported(name, `the pattern of ${path} is not understood here (${toError(error).message})`);
  }
}

/** Name, namespace and the `selectableFields` of the version. */
function selectableFieldsOf(version: JsonObject, namespaced: boolean): SelectableFields {
  const declared = Array.isArray(version["selectableFields"]) ? version["selectableFields"] : [];
  const readers = declared.map((item) => {
    const path = asString(asObject(item)["jsonPath"]);
    return { field: path.replace(/^\./, ""), read: compileJsonPath(path) };
  });
  return (object) => {
    const fields = readers.map(({ field, read }) => [field, textOf(read(object)[0])] as const);
    return {
      ...Object.fromEntries(fields),
      "metadata.name": nameOf(object),
      ...(namespaced ? { "metadata.namespace": namespaceOf(object) } : {}),
    };
  };
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string"
    ? value
    : value === undefined || value === null
      ? ""
      : JSON.stringify(value);
}
