import { invalid, notSupported, required, type FieldError } from "./field-error.ts";
import { equalJson, isObject, type JsonObject, type JsonValue } from "./json.ts";
import { hasFormat } from "./schema-formats.ts";
import { correlatedItem, type StructuralSchema } from "./structural-schema.ts";

/** The part of the old object that corresponds to the value being validated; absent on creation. */
interface Old {
  readonly value: JsonValue | undefined;
}

/**
 * Checks `value` against an OpenAPI v3 schema with the error types and paths that kube-apiserver reports.
 *
 * @param path field path of `value`; empty for the root
 * @param old the stored value on updates: a value that did not change is no error, so that objects which a stricter schema would
 *   refuse can still be changed in other fields (KEP-4008, "ratcheting")
 */
export function validateSchema(
  value: JsonValue,
  schema: StructuralSchema,
  path: string,
  old?: JsonValue,
): FieldError[] {
  const errors = validateNode(value, schema, path, old === undefined ? undefined : { value: old });
  // Some checks do not know the path of their value and report the root.
  const root = path === "" ? "<nil>" : path;
  return errors.map((error) => (error.field === "" ? { ...error, field: root } : error));
}

function validateNode(
  value: JsonValue,
  schema: StructuralSchema,
  path: string,
  old: Old | undefined,
): FieldError[] {
  const errors = [
    ...checkType(value, schema, path),
    ...checkCombinations(value, schema, path),
    ...(typeof value === "string" ? checkString(value, schema, path) : []),
    ...(typeof value === "number" ? checkNumber(value, schema, path) : []),
    ...(Array.isArray(value) ? checkList(value, schema, path, old) : []),
    ...checkEnum(value, schema, path),
    ...(isObject(value) ? checkObject(value, schema, path, old) : []),
  ];
  return errors.length > 0 && old !== undefined && equalJson(old.value, value) ? [] : errors;
}

function typeOf(value: JsonValue): string {
  if (value === null) {
    return "null";
  }
  if (Array.isArray(value)) {
    return "array";
  }
  if (typeof value === "number") {
    return Number.isInteger(value) ? "integer" : "number";
  }
  return typeof value;
}

function checkType(value: JsonValue, schema: StructuralSchema, path: string): FieldError[] {
  const expected =
    schema["x-kubernetes-int-or-string"] === true
      ? ["integer", "string"]
      : schema.type === undefined
        ? []
        : [schema.type];
  const actual = typeOf(value);
  const fits =
    expected.length === 0 ||
    expected.includes(actual) ||
    (actual === "integer" && expected.includes("number")) ||
    (value === null && schema.nullable === true);
  if (fits) {
    return [];
  }
  const shown = value === null ? "null" : value;
  const detail = `${path} in body must be of type ${expected.join(",")}: ${JSON.stringify(actual)}`;
  return [{ type: "FieldValueTypeInvalid", field: path, value: shown, detail }];
}

function checkEnum(value: JsonValue, schema: StructuralSchema, path: string): FieldError[] {
  if (schema.enum === undefined || schema.enum.some((allowed) => equalJson(allowed, value))) {
    return [];
  }
  const allowed = schema.enum.map((item) => (typeof item === "string" ? item : JSON.stringify(item)));
  return [notSupported(path, value, allowed)];
}

function checkString(text: string, schema: StructuralSchema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  // Go counts code points, not UTF-16 units.
  const length = Array.from(text).length;
  if (schema.maxLength !== undefined && length > schema.maxLength) {
    errors.push({
      type: "FieldValueTooLong",
      field: path,
      detail: `may not be more than ${schema.maxLength} bytes`,
    });
  }
  if (schema.minLength !== undefined && length < schema.minLength) {
    errors.push(invalid(path, text, `${path} in body should be at least ${schema.minLength} chars long`));
  }
  if (schema.pattern !== undefined && !new RegExp(schema.pattern, "u").test(text)) {
    errors.push(invalid(path, text, `${path} in body should match '${schema.pattern}'`));
  }
  if (schema.format !== undefined && !hasFormat(text, schema.format)) {
    const detail = `${path} in body must be of type ${schema.format}: ${JSON.stringify(text)}`;
    errors.push({ type: "FieldValueTypeInvalid", field: path, value: text, detail });
  }
  return errors;
}

const INTEGER_BOUNDS: Readonly<Record<string, readonly [number, number]>> = {
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [-(2 ** 63), 2 ** 63 - 1],
};

function checkNumber(value: number, schema: StructuralSchema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const refuse = (what: string): void => void errors.push(invalid(path, value, `${path} in body ${what}`));
  const { minimum, maximum, multipleOf } = schema;
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf)) {
    refuse(`should be a multiple of ${multipleOf}`);
  }
  if (maximum !== undefined && (schema.exclusiveMaximum === true ? value >= maximum : value > maximum)) {
    refuse(`should be less than ${schema.exclusiveMaximum === true ? "" : "or equal to "}${maximum}`);
  }
  if (minimum !== undefined && (schema.exclusiveMinimum === true ? value <= minimum : value < minimum)) {
    refuse(`should be greater than ${schema.exclusiveMinimum === true ? "" : "or equal to "}${minimum}`);
  }
  const bounds = schema.type === "integer" ? INTEGER_BOUNDS[schema.format ?? ""] : undefined;
  if (bounds !== undefined && (!Number.isInteger(value) || value < bounds[0] || value > bounds[1])) {
    const detail = `Checked value must be of type integer with format ${schema.format} in ${path}`;
    errors.push(invalid("", "", detail));
  }
  return errors;
}

function checkList(
  list: readonly JsonValue[],
  schema: StructuralSchema,
  path: string,
  old: Old | undefined,
): FieldError[] {
  const errors: FieldError[] = [];
  const { items } = schema;
  if (items !== undefined) {
    for (const [index, item] of list.entries()) {
      const counterpart = old === undefined ? undefined : correlatedItem(schema, item, old.value);
      const oldItem = counterpart === undefined ? undefined : { value: counterpart };
      errors.push(...validateNode(item, items, `${path}[${index}]`, oldItem));
    }
  }
  if (schema.minItems !== undefined && list.length < schema.minItems) {
    errors.push(invalid(path, list.length, `${path} in body should have at least ${schema.minItems} items`));
  }
  if (schema.maxItems !== undefined && list.length > schema.maxItems) {
    errors.push(tooMany(path, list.length, schema.maxItems));
  }
  if (schema.uniqueItems === true && hasDuplicates(list)) {
    errors.push(invalid(path, undefined, `${path} in body shouldn't contain duplicates`));
  }
  return errors;
}

function checkObject(
  object: JsonObject,
  schema: StructuralSchema,
  path: string,
  old: Old | undefined,
): FieldError[] {
  const errors: FieldError[] = [];
  const count = Object.keys(object).length;
  if (schema.minProperties !== undefined && count < schema.minProperties) {
    errors.push(
      invalid(path, count, `${path} in body should have at least ${schema.minProperties} properties`),
    );
  }
  if (schema.maxProperties !== undefined && count > schema.maxProperties) {
    errors.push(tooMany(path, count, schema.maxProperties));
  }
  for (const [name, value] of Object.entries(object)) {
    const declared = schema.properties !== undefined && Object.hasOwn(schema.properties, name);
    const child = declared ? schema.properties?.[name] : schema.additionalProperties;
    const field = path === "" ? name : `${path}.${name}`;
    if (child === false) {
      errors.push(invalid(path, undefined, `${field} in body is a forbidden property`));
    } else if (typeof child === "object") {
      errors.push(...validateNode(value, child, field, oldProperty(old, path, name)));
    }
  }
  for (const name of schema.required ?? []) {
    if (!Object.hasOwn(object, name)) {
      errors.push(required(path === "" ? name : `${path}.${name}`));
    }
  }
  return errors;
}

/** Counterpart of a property; `apiVersion` and `kind` of the root are always checked. */
function oldProperty(old: Old | undefined, path: string, name: string): Old | undefined {
  if (!isObject(old?.value) || !Object.hasOwn(old.value, name)) {
    return undefined;
  }
  return path === "" && (name === "apiVersion" || name === "kind") ? undefined : { value: old.value[name] };
}

function checkCombinations(value: JsonValue, schema: StructuralSchema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const failuresOf = (part: StructuralSchema): FieldError[] => validateNode(value, part, path, undefined);
  if (schema.anyOf !== undefined && schema.anyOf.every((part) => failuresOf(part).length > 0)) {
    errors.push(invalid(path, undefined, `${path} in body must validate at least one schema (anyOf)`));
  }
  if (schema.oneOf !== undefined) {
    const fitting = schema.oneOf.filter((part) => failuresOf(part).length === 0).length;
    if (fitting !== 1) {
      const detail = `${path} in body must validate one and only one schema (oneOf); ${fitting} valid`;
      errors.push(invalid(path, undefined, detail));
    }
  }
  for (const part of schema.allOf ?? []) {
    errors.push(...failuresOf(part));
  }
  if (schema.not !== undefined && failuresOf(schema.not).length === 0) {
    errors.push(invalid(path, undefined, `${path} in body must not validate the schema (not)`));
  }
  return errors;
}

function tooMany(path: string, actual: number, allowed: number): FieldError {
  return {
    type: "FieldValueTooMany",
    field: path,
    value: actual,
    detail: `must have at most ${allowed} items`,
  };
}

function hasDuplicates(list: readonly JsonValue[]): boolean {
  return list.some((item, index) => list.slice(0, index).some((earlier) => equalJson(earlier, item)));
}

/**
 * Duplicates in lists of type `set` and `map`, as `FieldValueDuplicate`.
 *
 * @param path field path of `value`
 */
export function validateListTypes(value: JsonValue, schema: StructuralSchema, path: string): FieldError[] {
  if (isObject(value)) {
    return Object.entries(value).flatMap(([name, child]) => {
      const declared = schema.properties !== undefined && Object.hasOwn(schema.properties, name);
      const childSchema = declared ? schema.properties?.[name] : schema.additionalProperties;
      const field = path === "" ? name : `${path}.${name}`;
      return typeof childSchema === "object" ? validateListTypes(child, childSchema, field) : [];
    });
  }
  if (!Array.isArray(value)) {
    return [];
  }
  const { items } = schema;
  const errors = duplicates(value, schema, path);
  if (items !== undefined) {
    errors.push(...value.flatMap((item, index) => validateListTypes(item, items, `${path}[${index}]`)));
  }
  return errors;
}

function duplicates(list: readonly JsonValue[], schema: StructuralSchema, path: string): FieldError[] {
  const listType = schema["x-kubernetes-list-type"];
  if (listType !== "set" && listType !== "map") {
    return [];
  }
  const identity = (item: JsonValue): JsonValue => {
    if (listType === "set" || !isObject(item)) {
      return item;
    }
    const keys = schema["x-kubernetes-list-map-keys"] ?? [];
    return Object.fromEntries(
      keys.filter((key) => Object.hasOwn(item, key)).map((key) => [key, item[key] ?? null]),
    );
  };
  const identities = list.map(identity);
  return identities.flatMap((one, index) =>
    identities.slice(0, index).some((earlier) => equalJson(earlier, one))
      ? [
          {
            type: "FieldValueDuplicate",
            field: `${path}[${index}]`,
            value: one,
            detail: "",
          } satisfies FieldError,
        ]
      : [],
  );
}
