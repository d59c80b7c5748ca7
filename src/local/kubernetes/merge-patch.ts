import { cloneJson, isObject, setOwn, type JsonObject, type JsonValue } from "./json.ts";

/** Applies a JSON merge patch (RFC 7386) to a copy of `target`: null removes a member, objects are merged, everything else is replaced. */
export function applyMergePatch(target: JsonValue | undefined, patch: JsonValue): JsonValue {
  if (!isObject(patch)) {
    return cloneJson(patch);
  }
  const result: JsonObject = isObject(target) ? cloneJson(target) : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) {
      delete result[name];
    } else {
      const current = Object.hasOwn(result, name) ? result[name] : undefined;
      setOwn(result, name, applyMergePatch(current, value));
    }
  }
  return result;
}
