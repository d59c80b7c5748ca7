import { badRequest, patchNotApplicable, tooLarge } from "./api-error.ts";
import { cloneJson, equalJson, isObject, setOwn, type JsonObject, type JsonValue } from "./json.ts";

/** More operations than this in one patch are refused (apiserver's `maxJSONPatchOperations`). */
export const MAX_JSON_PATCH_OPERATIONS = 10_000;

const OPERATION_FIELDS = new Set(["op", "path", "from", "value"]);

/** An operation as it was received; only its form is checked. */
interface Operation {
  readonly op: string;
  readonly path: string | undefined;
  readonly from: string | undefined;
  /** Absent and null are the same to `test`, as they are to apiserver. */
  readonly value: JsonValue;
}

/** A decoded patch. */
export interface DecodedPatch {
  readonly operations: readonly Operation[];
  /** Fields that no operation has, as apiserver's strict decoding names them. */
  readonly unknownFields: readonly string[];
}

/**
 * Reads a JSON patch (RFC 6902).
 *
 * @throws ApiError 400 when it is not a list of operations, 413 when there are too many
 */
export function decodeJsonPatch(body: JsonValue): DecodedPatch {
  if (body === null) {
    return { operations: [], unknownFields: [] };
  }
  if (!Array.isArray(body)) {
    throw badRequest("error decoding patch: a JSON patch must be a list of operations");
  }
  const unknownFields: string[] = [];
  const operations = body.map((item, index) => {
    if (!isObject(item)) {
      throw badRequest(`error decoding patch: operation ${index} is not an object`);
    }
    const unknown = Object.keys(item).filter((name) => !OPERATION_FIELDS.has(name));
    unknownFields.push(...unknown.map((name) => `json patch unknown field "[${index}].${name}"`));
    return {
      op: stringField(item, "op", index) ?? "",
      path: stringField(item, "path", index),
      from: stringField(item, "from", index),
      value: item["value"] ?? null,
    };
  });
  if (operations.length > MAX_JSON_PATCH_OPERATIONS) {
    throw tooLarge(
      `The allowed maximum operations in a JSON patch is ${MAX_JSON_PATCH_OPERATIONS}, got ${operations.length}`,
    );
  }
  return { operations, unknownFields };
}

function stringField(item: JsonObject, name: string, index: number): string | undefined {
  const value = item[name];
  if (value === undefined || value === null) {
    return undefined;
  }
  if (typeof value !== "string") {
    throw badRequest(`error decoding patch: "${name}" of operation ${index} is not a string`);
  }
  return value;
}

/**
 * Applies a patch to a copy of `document`: all operations or none.
 *
 * @throws ApiError 422 when an operation does not apply; a failed `test`, a missing path and an unknown
 *   operation give the same answer
 */
export function applyJsonPatch(document: JsonObject, operations: readonly Operation[]): JsonValue {
  let result: JsonValue = cloneJson(document);
  for (const operation of operations) {
    if (operation.path === "" && operation.op === "replace") {
      result = cloneJson(operation.value);
    } else if (operation.path === "" && operation.op === "test") {
      require(equalJson(result, operation.value));
    } else {
      require(isObject(result));
      applyOperation(result, operation);
    }
  }
  return result;
}

function applyOperation(document: JsonObject, { op, path, from, value }: Operation): void {
  switch (op) {
    case "test":
      return test(document, path, value);
    case "add":
      return insert(locate(document, path), cloneJson(value));
    case "replace":
      return replace(locate(document, path), cloneJson(value));
    case "remove":
      return removeAt(locate(document, path));
    case "move": {
      const source = locate(document, from);
      const moved = existing(source);
      removeAt(source);
      return insert(locate(document, path), moved);
    }
    case "copy":
      // A key that an object lacks is copied as null, as apiserver's library does.
      return insert(locate(document, path), cloneJson(read(locate(document, from)) ?? null));
    default:
      throw patchNotApplicable();
  }
}

/** A place in a document: a container that exists, and a key in it that may not. */
interface Place {
  readonly container: JsonObject | JsonValue[];
  readonly key: string;
}

/**
 * RFC 6901, except that everything before the first slash is ignored: apiserver's library takes `spec/size` for `/size`.
 * The root has no container; callers handle it.
 */
function locate(document: JsonObject, pointer: string | undefined): Place {
  const parts = (pointer ?? "").split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  const key = parts.at(-1);
  if (parts.length < 2 || key === undefined) {
    throw patchNotApplicable();
  }
  let container: JsonObject | JsonValue[] = document;
  for (const part of parts.slice(1, -1)) {
    const next = read({ container, key: part });
    if (!isObject(next) && !Array.isArray(next)) {
      throw patchNotApplicable();
    }
    container = next;
  }
  return { container, key };
}

/** The value at a place; undefined when an object has no such key. Lists only have the indexes below their length. */
function read({ container, key }: Place): JsonValue | undefined {
  if (Array.isArray(container)) {
    return container[indexOf(key, container.length)];
  }
  return Object.hasOwn(container, key) ? container[key] : undefined;
}

function existing(place: Place): JsonValue {
  const value = read(place);
  if (value === undefined) {
    throw patchNotApplicable();
  }
  return value;
}

/** Index below `length`; negative ones count from the end, which apiserver's library allows. */
function indexOf(key: string, length: number): number {
  if (!/^-?\d+$/.test(key)) {
    throw patchNotApplicable();
  }
  const index = Number(key) < 0 ? Number(key) + length : Number(key);
  if (index < 0 || index >= length) {
    throw patchNotApplicable();
  }
  return index;
}

function test(document: JsonObject, path: string | undefined, value: JsonValue): void {
  require(equalJson(read(locate(document, path)) ?? null, value));
}

function require(condition: boolean): asserts condition {
  if (!condition) {
    throw patchNotApplicable();
  }
}

function insert({ container, key }: Place, value: JsonValue): void {
  if (!Array.isArray(container)) {
    setOwn(container, key, value);
  } else if (key === "-") {
    container.push(value);
  } else {
    // One past the end is allowed here.
    container.splice(indexOf(key, container.length + 1), 0, value);
  }
}

/** On objects it sets a missing key too: apiserver's library is more lenient there than RFC 6902. */
function replace(place: Place, value: JsonValue): void {
  if (Array.isArray(place.container)) {
    place.container[indexOf(place.key, place.container.length)] = value;
  } else {
    setOwn(place.container, place.key, value);
  }
}

function removeAt(place: Place): void {
  existing(place);
  if (Array.isArray(place.container)) {
    place.container.splice(indexOf(place.key, place.container.length), 1);
  } else {
    delete place.container[place.key];
  }
}
