import { isCelError, parse, plan, celEnv, type CelInput } from "@bufbuild/cel";
import { isObject, type JsonValue } from "./json.ts";
import type { StructuralSchema } from "./structural-schema.ts";

// Words of the CEL grammar, which cannot be field names (CRD validation rules, "Field path escaping").
const RESERVED = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(
    " ",
  ),
);

/** The name under which CEL expressions select a property: `foo__dash__bar` for `foo-bar`. */
export function escapePropertyName(name: string): string {
  if (RESERVED.has(name)) {
    return `__${name}__`;
  }
  return name
    .replaceAll("__", "__underscores__")
    .replaceAll(".", "__dot__")
    .replaceAll("-", "__dash__")
    .replaceAll("/", "__slash__");
}

const baseEnv = celEnv();
const toTimestamp = plan(baseEnv, parse("timestamp(text)"));
const toDuration = plan(baseEnv, parse("duration(text)"));
const toBytes = plan(baseEnv, parse("bytes(text)"));

/**
 * A JSON value as CEL sees it through the schema: integers are `int`, strings of format date-time are
 * timestamps, objects are maps whose declared properties carry their escaped names
 * (CRD validation rules, "Type system integration").
 */
export function toCelValue(value: JsonValue, schema: StructuralSchema | undefined): CelInput {
  if (typeof value === "number") {
    return isInteger(value, schema) ? BigInt(value) : value;
  }
  if (typeof value === "string") {
    return stringToCel(value, schema?.format);
  }
  if (Array.isArray(value)) {
    return value.map((item) => toCelValue(item, schema?.items));
  }
  return isObject(value) ? objectToCel(value, schema) : value;
}

function isInteger(value: number, schema: StructuralSchema | undefined): boolean {
  return Number.isInteger(value) && schema?.type !== "number";
}

function stringToCel(text: string, format: string | undefined): CelInput {
  const converted =
    format === "date-time"
      ? toTimestamp({ text })
      : format === "duration"
        ? toDuration({ text })
        : format === "byte"
          ? toBytes({ text: Buffer.from(text, "base64").toString("latin1") })
          : text;
  // A value that passes the format check but that CEL cannot read stays a string; comparing it then fails the rule.
  return isCelError(converted) ? text : converted;
}

function objectToCel(
  object: Readonly<Record<string, JsonValue>>,
  schema: StructuralSchema | undefined,
): CelInput {
  const entries = new Map<string, CelInput>();
  for (const [name, child] of Object.entries(object)) {
    const property =
      schema?.properties !== undefined && Object.hasOwn(schema.properties, name)
        ? schema.properties[name]
        : undefined;
    if (property !== undefined) {
      entries.set(escapePropertyName(name), toCelValue(child, property));
    } else {
      const additional = schema?.additionalProperties;
      entries.set(name, toCelValue(child, typeof additional === "object" ? additional : undefined));
    }
  }
  return entries;
}
