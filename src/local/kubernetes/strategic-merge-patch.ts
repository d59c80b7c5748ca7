import { badRequest } from "./api-error.ts";
import { cloneJson, equalJson, isObject, setOwn, type JsonObject, type JsonValue } from "./json.ts";

/**
 * How the lists of the built-in kinds served here are merged, by field name: by a key of their elements, or as
 * sets of scalars (`patchMergeKey` and `patchStrategy` of the Kubernetes API types). Other lists are replaced.
 */
const MERGED_LISTS: Readonly<Record<string, { readonly key: string | undefined }>> = {
  finalizers: { key: undefined },
  ownerReferences: { key: "uid" },
  conditions: { key: "type" },
};

/**
 * Applies a strategic merge patch (SIG API machinery, "Strategic Merge Patch") to a copy of `target`, with the
 * directives that kubectl writes: `$patch`, `$retainKeys`, `$deleteFromPrimitiveList/…` and
 * `$setElementOrder/…` (the last is accepted; order has no meaning for these kinds).
 *
 * @throws ApiError 400 for an unknown `$patch` directive
 */
export function applyStrategicMergePatch(target: JsonValue | undefined, patch: JsonObject): JsonObject {
  const directive = patch["$patch"];
  if (directive === "replace") {
    const { $patch: _directive, ...replacement } = patch;
    return cloneJson(replacement);
  }
  if (directive === "delete") {
    return {};
  }
  if (directive !== undefined && directive !== "merge") {
    throw badRequest(`Unknown patch type found: ${JSON.stringify(directive)}`);
  }
  const result: JsonObject = isObject(target) ? cloneJson(target) : {};
  retainKeys(result, patch["$retainKeys"]);
  for (const [name, value] of Object.entries(patch)) {
    if (name.startsWith("$deleteFromPrimitiveList/")) {
      removeScalars(result, name.slice(name.indexOf("/") + 1), value);
    } else if (!name.startsWith("$")) {
      mergeField(result, name, value);
    }
  }
  return result;
}

function mergeField(result: JsonObject, name: string, value: JsonValue): void {
  const current = Object.hasOwn(result, name) ? result[name] : undefined;
  const merged = MERGED_LISTS[name];
  if (value === null) {
    delete result[name];
  } else if (isObject(value)) {
    setOwn(result, name, applyStrategicMergePatch(current, value));
  } else if (Array.isArray(value) && merged !== undefined) {
    const list = Array.isArray(current) ? current : [];
    setOwn(result, name, merged.key === undefined ? union(list, value) : mergeByKey(list, value, merged.key));
  } else {
    setOwn(result, name, cloneJson(value));
  }
}

function union(list: readonly JsonValue[], added: readonly JsonValue[]): JsonValue[] {
  return [...list, ...added.filter((item) => !list.some((existing) => equalJson(existing, item)))];
}

function mergeByKey(list: readonly JsonValue[], changes: readonly JsonValue[], key: string): JsonValue[] {
  const result = [...list];
  for (const change of changes) {
    if (!isObject(change)) {
      continue;
    }
    const index = result.findIndex((item) => isObject(item) && equalJson(item[key], change[key]));
    if (change["$patch"] === "delete") {
      result.splice(index < 0 ? result.length : index, 1);
    } else if (index < 0) {
      result.push(applyStrategicMergePatch({}, change));
    } else {
      result[index] = applyStrategicMergePatch(result[index], change);
    }
  }
  return result;
}

function removeScalars(result: JsonObject, name: string, removed: JsonValue): void {
  const list = result[name];
  if (Array.isArray(list) && Array.isArray(removed)) {
    result[name] = list.filter((item) => !removed.some((candidate) => equalJson(candidate, item)));
  }
}

function retainKeys(result: JsonObject, keys: JsonValue | undefined): void {
  if (Array.isArray(keys)) {
    for (const name of Object.keys(result)) {
      if (!keys.includes(name)) {
        delete result[name];
      }
    }
  }
}
