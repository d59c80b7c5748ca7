import { cloneJson, isObject, setOwn, type JsonValue } from "./json.ts";
import { propertySchema, type StructuralSchema } from "./structural-schema.ts";

/**
 * Fills in the schema's defaults, in place: for absent properties, and for nulls where null is not allowed
 * (CRD documentation, "Defaulting and Nullable"). Parents are filled before their children.
 */
export function applyDefaults(value: JsonValue, schema: StructuralSchema | undefined): void {
  if (schema === undefined) {
    return;
  }
  if (Array.isArray(value)) {
    defaultItems(value, schema.items);
    return;
  }
  if (!isObject(value)) {
    return;
  }
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (property.default !== undefined && needsDefault(value[name], property)) {
      setOwn(value, name, cloneJson(property.default));
    }
  }
  for (const name of Object.keys(value)) {
    const child = propertySchema(schema, name);
    if (value[name] === null && child?.default !== undefined && child.nullable !== true) {
      setOwn(value, name, cloneJson(child.default));
    }
    applyDefaults(value[name] ?? null, child);
  }
}

function defaultItems(list: JsonValue[], schema: StructuralSchema | undefined): void {
  for (const [index, item] of list.entries()) {
    if (item === null && schema?.default !== undefined && schema.nullable !== true) {
      list[index] = cloneJson(schema.default);
    }
    applyDefaults(list[index] ?? null, schema);
  }
}

function needsDefault(value: JsonValue | undefined, schema: StructuralSchema): boolean {
  return value === undefined || (value === null && schema.nullable !== true);
}

/**
 * Removes nulls, in place, where null is not allowed and there is no default. So clients may write null for
 * "not set", as with Go types.
 */
export function dropForbiddenNulls(value: JsonValue, schema: StructuralSchema | undefined): void {
  if (schema === undefined) {
    return;
  }
  if (Array.isArray(value)) {
    for (const item of value) {
      dropForbiddenNulls(item, schema.items);
    }
    return;
  }
  if (!isObject(value)) {
    return;
  }
  for (const name of Object.keys(value)) {
    const child = propertySchema(schema, name);
    if (
      value[name] === null &&
      child !== undefined &&
      child.nullable !== true &&
      child.default === undefined
    ) {
      delete value[name];
    } else {
      dropForbiddenNulls(value[name] ?? null, child);
    }
  }
}
