import { SatelliteError } from "../../base/errors.ts";
import { isObject, type JsonObject, type JsonValue } from "./json.ts";

/** One step of a path, from a value to the values that it selects. */
type Step = (value: JsonValue) => JsonValue[];

/** Reads all values that a path selects; none when a part is missing. */
export type JsonPath = (object: JsonObject) => JsonValue[];

const TOKEN_SOURCE =
  /\.([A-Za-z_][-\w]*)|\['([^']*)'\]|\[(-?\d+)\]|\[\*\]|\.\*|\[\?\(@\.([\w.]+)\s*==\s*(?:"([^"]*)"|'([^']*)')\)\]/;

/**
 * Compiles the JSONPath of a printer column: fields, indexes, wildcards and filters like
 * `.status.conditions[?(@.type=="Ready")].status`.
 *
 * @throws SatelliteError `UnsupportedJsonPath` for anything else
 */
export function compileJsonPath(source: string): JsonPath {
  const steps: Step[] = [];
  const text = source.startsWith(".") || source.startsWith("[") ? source : `.${source}`;
  // An expression of its own: filters compile paths while this one is being read.
  const token = new RegExp(TOKEN_SOURCE, "y");
  while (token.lastIndex < text.length) {
    const match = token.exec(text);
    if (match === null) {
      throw new SatelliteError(
        "UnsupportedJsonPath",
        `the path ${JSON.stringify(source)} cannot be read; use fields, indexes, [*] and [?(@.field=="value")]`,
      );
    }
    steps.push(stepFor(match));
  }
  return (object) => steps.reduce<JsonValue[]>((values, step) => values.flatMap(step), [object]);
}

function stepFor([
  ,
  field,
  quotedField,
  index,
  filterPath,
  doubleQuoted,
  singleQuoted,
]: RegExpExecArray): Step {
  const name = field ?? quotedField;
  if (name !== undefined) {
    return (value) => (isObject(value) && Object.hasOwn(value, name) ? [value[name] ?? null] : []);
  }
  if (index !== undefined) {
    return (value) => (Array.isArray(value) ? definite(value.at(Number(index))) : []);
  }
  if (filterPath !== undefined) {
    const wanted = doubleQuoted ?? singleQuoted ?? "";
    const read = compileJsonPath(`.${filterPath}`);
    return (value) =>
      Array.isArray(value) ? value.filter((item) => isObject(item) && read(item)[0] === wanted) : [];
  }
  return (value) => (Array.isArray(value) ? value : isObject(value) ? Object.values(value) : []);
}

function definite(value: JsonValue | undefined): JsonValue[] {
  return value === undefined ? [] : [value];
}
