import { asObject, asString, type JsonObject, type JsonValue } from "../../src/local/kubernetes/json.ts";

/** Stands for keys of maps whose schema cannot bound them: DNS labels are the longest that make sense. */
const KEY_LENGTH = 63;

/** A value at the limit, given what the schema says of it. */
export type Choice = (schema: JsonObject, path: string) => JsonValue | undefined;

/**
 * The largest value that a structural schema allows: every string, list, map and number at its maximum at once.
 *
 * @param choose values where the schema alone does not say what is allowed: patterns, formats, rules; by path such as
 *   `spec.ec2.subnets.ids[]`. `null` leaves a member out
 */
export function largest(schema: JsonObject, choose: Choice, path = ""): JsonValue {
  const chosen = choose(schema, path);
  if (chosen !== undefined) {
    return chosen;
  }
  const options = schema["enum"];
  if (Array.isArray(options)) {
    return options.toSorted((a, b) => asString(b).length - asString(a).length)[0] ?? null;
  }
  switch (asString(schema["type"])) {
    case "string":
      return schema["format"] === "date-time" ? "2026-01-01T00:00:00Z" : text(Number(schema["maxLength"]), 0);
    case "integer":
      return Number(
        schema["maximum"] ?? (schema["format"] === "int64" ? Number.MAX_SAFE_INTEGER : 2 ** 31 - 1),
      );
    case "boolean":
      return true;
    case "array":
      return distinct(Number(schema["maxItems"]), largest(asObject(schema["items"]), choose, `${path}[]`));
    default:
      return largestObject(schema, choose, path);
  }
}

function largestObject(schema: JsonObject, choose: Choice, path: string): JsonObject {
  const values = schema["additionalProperties"];
  if (values !== undefined) {
    const value = largest(asObject(values), choose, `${path}{}`);
    return Object.fromEntries(
      Array.from({ length: Number(schema["maxProperties"]) }, (_, index) => [text(KEY_LENGTH, index), value]),
    );
  }
  return Object.fromEntries(
    Object.entries(asObject(schema["properties"]))
      .map(([name, member]) => {
        const at = path === "" ? name : `${path}.${name}`;
        return [name, largest(asObject(member), choose, at)] as const;
      })
      .filter(([, value]) => value !== null),
  );
}

/** A text of so many characters that ends in a number. */
function text(length: number, index: number): string {
  if (!Number.isInteger(length)) {
    throw new RangeError("the schema bounds the length of every string");
  }
  return String(index).padStart(length, "x");
}

/** So many values; strings differ in their last characters, so that they may be in a set. */
function distinct(count: number, value: JsonValue): JsonValue[] {
  if (!Number.isInteger(count)) {
    throw new RangeError("the schema bounds the length of every list");
  }
  return Array.from({ length: count }, (_, index) => {
    const number = String(index).padStart(3, "0");
    return typeof value === "string" && value.length > 3 ? value.slice(0, -3) + number : value;
  });
}
