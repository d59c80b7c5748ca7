import { parse as parseYaml } from "yaml";
import { toError } from "../../base/errors.ts";
import { badRequest, unsupportedMediaType } from "./api-error.ts";
import { applyDefaults, dropForbiddenNulls } from "./defaulting.ts";
import { duplicateFields } from "./duplicate-fields.ts";
import { asString, cloneJson, isObject, type JsonObject, type JsonValue } from "./json.ts";
import { normalizeMetadata } from "./object-meta.ts";
import { prune } from "./pruning.ts";
import { apiVersionOf, type Resource } from "./resource.ts";
import { validateSchema } from "./schema-validation.ts";

/** Media types of bodies that are objects. */
export const OBJECT_MEDIA_TYPES = ["application/json", "application/yaml"] as const;

/** An object from a request, in the form that its type gives it. */
export interface Decoded {
  readonly object: JsonObject;
  /** `unknown field "spec.x"` for each field that was dropped, `duplicate field "spec.x"` for each that occurred twice. */
  readonly strictErrors: readonly string[];
}

/**
 * Reads a body as JSON or YAML, by its content type; JSON when none is given.
 *
 * @throws ApiError 415 for other content types, 400 when the body cannot be read
 */
export function parseBody(body: string, contentType: string | undefined): JsonValue {
  const mediaType = (contentType ?? "application/json").split(";")[0]?.trim().toLowerCase() ?? "";
  if (mediaType !== "" && !OBJECT_MEDIA_TYPES.some((known) => known === mediaType)) {
    throw unsupportedMediaType(OBJECT_MEDIA_TYPES);
  }
  return mediaType === "application/yaml" ? parseYamlBody(body) : parseJsonBody(body);
}

/**
 * {@link parseBody} and {@link decodeObject} for requests whose body is an object.
 *
 * @throws ApiError 400, 415
 */
export function decodeBody(resource: Resource, body: string, contentType: string | undefined): Decoded {
  const value = parseBody(body, contentType);
  const isYaml = contentType?.startsWith("application/yaml") === true;
  const duplicates = isYaml ? [] : duplicateFields(body);
  const { object, strictErrors } = decodeObject(resource, value);
  return { object, strictErrors: [...duplicates, ...strictErrors] };
}

/** @throws ApiError 400 when `body` is not JSON */
export function parseJsonBody(body: string): JsonValue {
  try {
    return JSON.parse(body) as JsonValue;
  } catch (error) {
    throw badRequest(`the body of the request is not JSON: ${toError(error).message}`);
  }
}

function parseYamlBody(body: string): JsonValue {
  try {
    return parseYaml(body) as JsonValue;
  } catch (error) {
    throw badRequest(`the body of the request is not YAML: ${toError(error).message}`);
  }
}

/** Options of {@link decodeObject}. */
export interface DecodeOptions {
  /** Leave another apiVersion of a custom resource to validation. */
  readonly anyVersion?: boolean;
}

/**
 * Makes an object of a request's body: type checked, pruned and defaulted. `body` is changed in place.
 *
 * @throws ApiError 400 when it is not an object of this resource's kind
 */
export function decodeObject(
  resource: Resource,
  body: JsonValue,
  { anyVersion = false }: DecodeOptions = {},
): Decoded {
  if (!isObject(body)) {
    throw badRequest(`cannot decode the body into ${resource.kind}: it is not an object`);
  }
  checkTypeMeta(resource, body, anyVersion);
  const strictErrors = coerce(resource, body);
  if (!resource.isCustom) {
    checkTypes(resource, body);
  }
  return { object: body, strictErrors };
}

/** Drops what the type does not know and fills in defaults, in place; returns what was dropped. */
function coerce(resource: Resource, object: JsonObject): string[] {
  const metadataErrors = normalizeMetadata(object);
  // Rules and defaults of the resource apply to objects of its kind only; others fail validation later.
  if (object["kind"] !== resource.kind) {
    return unknownFields(metadataErrors);
  }
  const removed = prune(object, resource.schema);
  dropForbiddenNulls(object, resource.schema);
  applyDefaults(object, resource.schema);
  return unknownFields([...metadataErrors, ...removed]);
}

function unknownFields(paths: readonly string[]): string[] {
  return paths.map((path) => `unknown field "${path}"`);
}

function checkTypeMeta(resource: Resource, object: JsonObject, anyVersion: boolean): void {
  const expected = apiVersionOf(resource);
  if (!resource.isCustom) {
    object["kind"] ??= resource.kind;
    object["apiVersion"] ??= expected;
  }
  const kind = asString(object["kind"]);
  const apiVersion = asString(object["apiVersion"]);
  if (kind === "") {
    throw badRequest("Object 'Kind' is missing");
  }
  if (apiVersion === "") {
    throw badRequest("Object 'apiVersion' is missing");
  }
  if (apiVersion !== expected && !(anyVersion && resource.isCustom)) {
    throw badRequest(
      `the API version in the data (${apiVersion}) does not match the expected API version (${expected})`,
    );
  }
  if (!resource.isCustom && kind !== resource.kind) {
    throw badRequest(
      `${kind} in version ${JSON.stringify(apiVersion)} cannot be handled as a ${resource.kind}`,
    );
  }
}

/** Built-in kinds are Go types on the real server: a value of the wrong type is a malformed request there. */
function checkTypes(resource: Resource, object: JsonObject): void {
  const [problem] = validateSchema(object, resource.schema, "");
  if (problem !== undefined) {
    throw badRequest(
      `${resource.kind} in version ${JSON.stringify(resource.version)} cannot be handled as a ${resource.kind}: ` +
        `json: cannot unmarshal ${problem.field}: ${problem.detail}`,
    );
  }
}

/** A stored object as clients read it: defaults that came with a later schema are filled in. */
export function readForm(resource: Resource, stored: JsonObject): JsonObject {
  const object = cloneJson(resource.fromStorage(stored));
  prune(object, resource.schema);
  dropForbiddenNulls(object, resource.schema);
  applyDefaults(object, resource.schema);
  return object;
}
