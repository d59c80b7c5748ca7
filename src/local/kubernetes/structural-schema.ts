import { isObject, type JsonObject, type JsonValue } from "./json.ts";

/** A rule of `x-kubernetes-validations`. */
export interface ValidationRule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly reason?: string;
  readonly fieldPath?: string;
  readonly optionalOldSelf?: boolean;
}

/** The part of a structural OpenAPI v3 schema (CRD documentation, "Specifying a structural schema") that is served. */
export interface StructuralSchema {
  readonly type?: string;
  readonly format?: string;
  readonly title?: string;
  readonly description?: string;
  readonly nullable?: boolean;
  readonly default?: JsonValue;
  readonly enum?: readonly JsonValue[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly multipleOf?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly additionalProperties?: StructuralSchema | boolean;
  readonly items?: StructuralSchema;
  readonly allOf?: readonly StructuralSchema[];
  readonly anyOf?: readonly StructuralSchema[];
  readonly oneOf?: readonly StructuralSchema[];
  readonly not?: StructuralSchema;
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean;
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly "x-kubernetes-embedded-resource"?: boolean;
  readonly "x-kubernetes-list-type"?: string;
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-map-type"?: string;
  readonly "x-kubernetes-validations"?: readonly ValidationRule[];
}

/** The schema of a property's value: declared, else that of additional properties, else undefined. */
export function propertySchema(
  schema: StructuralSchema | undefined,
  name: string,
): StructuralSchema | undefined {
  const properties = schema?.properties;
  if (properties !== undefined && Object.hasOwn(properties, name)) {
    return properties[name];
  }
  const additional = schema?.additionalProperties;
  return typeof additional === "object" ? additional : undefined;
}

/** Visits `schema` and the schemas below it with their field paths. */
export function visitSchemas(
  schema: StructuralSchema,
  visit: (schema: StructuralSchema, path: string) => void,
  path = "",
): void {
  visit(schema, path);
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    visitSchemas(property, visit, `${path}.${name}`);
  }
  if (typeof schema.additionalProperties === "object") {
    visitSchemas(schema.additionalProperties, visit, `${path}.*`);
  }
  if (schema.items !== undefined) {
    visitSchemas(schema.items, visit, `${path}[]`);
  }
  for (const part of [...(schema.allOf ?? []), ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])]) {
    visitSchemas(part, visit, path);
  }
  if (schema.not !== undefined) {
    visitSchemas(schema.not, visit, path);
  }
}

/**
 * The value of `old` that corresponds to the element at `index` of `list`: by its map keys in lists of type
 * `map`; elements of other lists have no counterpart (KEP-4008, "Correlatability").
 */
export function correlatedItem(
  schema: StructuralSchema | undefined,
  item: JsonValue,
  old: JsonValue | undefined,
): JsonValue | undefined {
  if (schema?.["x-kubernetes-list-type"] !== "map" || !Array.isArray(old) || !isObject(item)) {
    return undefined;
  }
  const keys = schema["x-kubernetes-list-map-keys"] ?? [];
  const keyOf = (value: JsonObject): string => JSON.stringify(keys.map((key) => value[key] ?? null));
  return old.find((candidate) => isObject(candidate) && keyOf(candidate) === keyOf(item));
}
