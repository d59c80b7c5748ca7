/** Any value that JSON can express. */
export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  [key: string]: JsonValue;
}

/** Whether `value` is a JSON object (not null, not an array). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `value` if it is an object, else an empty one. For reading optional parts of a document. */
export function asObject(value: JsonValue | undefined): JsonObject {
  return isObject(value) ? value : {};
}

/** `value` if it is a string, else the empty string, as Go reads an absent string field. */
export function asString(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

/** The strings of `value` if it is an array, else none. */
export function asStrings(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

/** The value at `path`, going through objects only; undefined when a part is missing. */
export function valueAt(document: JsonValue | undefined, ...path: string[]): JsonValue | undefined {
  let current = document;
  for (const key of path) {
    if (!isObject(current) || !Object.hasOwn(current, key)) {
      return undefined;
    }
    current = current[key];
  }
  return current;
}

/** A deep copy that shares nothing with `value`. */
export function cloneJson<T extends JsonValue>(value: T): T {
  return cloned(value) as T;
}

function cloned(value: JsonValue): JsonValue {
  if (Array.isArray(value)) {
    return value.map(cloned);
  }
  if (!isObject(value)) {
    return value;
  }
  const result: JsonObject = {};
  for (const key of Object.keys(value)) {
    setOwn(result, key, cloned(value[key] ?? null));
  }
  return result;
}

/** Whether two values are the same JSON; the order of an object's keys does not count. */
export function equalJson(left: JsonValue | undefined, right: JsonValue | undefined): boolean {
  if (left === right) {
    return true;
  }
  if (Array.isArray(left)) {
    return (
      Array.isArray(right) &&
      left.length === right.length &&
      left.every((item, index) => equalJson(item, right[index]))
    );
  }
  if (!isObject(left) || !isObject(right)) {
    return false;
  }
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && equalJson(left[key], right[key]))
  );
}

/** A copy with the keys of every object in alphabetical order, as Go's encoder writes maps. */
export function sortKeys<T extends JsonValue>(value: T): T {
  return sorted(value) as T;
}

function sorted(value: JsonValue): JsonValue {
  if (Array.isArray(value)) {
    return value.map(sorted);
  }
  if (!isObject(value)) {
    return value;
  }
  const result: JsonObject = {};
  for (const key of Object.keys(value).sort()) {
    setOwn(result, key, sorted(value[key] ?? null));
  }
  return result;
}

/** Sets a key of its own even for names like `__proto__`, which plain assignment would not store. */
export function setOwn(target: JsonObject, key: string, value: JsonValue): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  } else {
    target[key] = value;
  }
}
