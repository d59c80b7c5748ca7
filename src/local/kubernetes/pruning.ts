import { isObject, type JsonObject, type JsonValue } from "./json.ts";
import type { StructuralSchema } from "./structural-schema.ts";

/**
 * Removes, in place, the fields that the schema does not know (CRD documentation, "Field pruning").
 * At the root of a resource `apiVersion`, `kind` and `metadata` always stay.
 *
 * @returns the paths of what was removed, as `spec.items[0].name`
 */
export function prune(object: JsonObject, schema: StructuralSchema): string[] {
  const removed: string[] = [];
  pruneObject(object, schema, "", removed, true);
  return removed;
}

/** {@link prune} for a part of an object: nothing is implied. `path` is where the part stands. */
export function pruneFields(object: JsonObject, schema: StructuralSchema, path: string): string[] {
  const removed: string[] = [];
  pruneObject(object, schema, path, removed, false);
  return removed;
}

const RESOURCE_FIELDS = new Set(["apiVersion", "kind", "metadata"]);

function pruneObject(
  object: JsonObject,
  schema: StructuralSchema,
  path: string,
  removed: string[],
  isResource: boolean,
): void {
  for (const name of Object.keys(object)) {
    if (isResource && RESOURCE_FIELDS.has(name)) {
      continue;
    }
    const fieldPath = path === "" ? name : `${path}.${name}`;
    const value = object[name] ?? null;
    if (schema.properties !== undefined && Object.hasOwn(schema.properties, name)) {
      pruneValue(value, schema.properties[name], fieldPath, removed);
    } else if (schema.additionalProperties === true) {
      continue;
    } else if (typeof schema.additionalProperties === "object") {
      pruneValue(value, schema.additionalProperties, fieldPath, removed);
    } else if (schema["x-kubernetes-preserve-unknown-fields"] !== true) {
      delete object[name];
      removed.push(fieldPath);
    }
  }
}

function pruneValue(
  value: JsonValue,
  schema: StructuralSchema | undefined,
  path: string,
  removed: string[],
): void {
  if (schema === undefined) {
    return;
  }
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      pruneValue(item, schema.items, `${path}[${index}]`, removed);
    }
  } else if (isObject(value)) {
    pruneObject(value, schema, path, removed, schema["x-kubernetes-embedded-resource"] === true);
  }
}
