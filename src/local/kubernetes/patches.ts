import type { ApiContext } from "./api-context.ts";
import { ApiError, badRequest, invalidObject, notFound, unsupportedMediaType } from "./api-error.ts";
import type { ResourceRequest } from "./api-request.ts";
import { decodeObject, parseJsonBody, type Decoded } from "./decode.ts";
import { invalid } from "./field-error.ts";
import { applyJsonPatch, decodeJsonPatch } from "./json-patch.ts";
import { cloneJson, isObject, type JsonObject, type JsonValue } from "./json.ts";
import { nameOf } from "./object-meta.ts";
import { applyMergePatch } from "./merge-patch.ts";
import { groupResource, storageKey, type Resource } from "./resource.ts";
import { applyStrategicMergePatch } from "./strategic-merge-patch.ts";
import { writeOptions, type FieldValidation } from "./write-options.ts";
import { update, type WriteResult } from "./writes.ts";

const JSON_PATCH = "application/json-patch+json";
const MERGE_PATCH = "application/merge-patch+json";
const STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json";

/** What a patch makes of an object, before decoding. */
interface Patched {
  readonly body: JsonValue;
  readonly unknownFields: readonly string[];
}

/**
 * PATCH: JSON patch, JSON merge patch, and for built-in kinds strategic merge patch. Server-side apply is not
 * offered: field ownership is not kept here.
 *
 * @throws ApiError 400 for a malformed patch, 404, 409 Conflict, 415 for other patch types, 422 for a patch that does
 *   not apply or makes an invalid object
 */
export function patchObject(context: ApiContext, call: ResourceRequest): WriteResult {
  const { request, resource, name, namespace } = call;
  const mediaType = request.headers["content-type"]?.split(";")[0]?.trim() ?? "";
  const accepted = patchTypesOf(resource);
  if (!accepted.includes(mediaType)) {
    throw unsupportedMediaType(accepted);
  }
  const options = writeOptions(request.query, "PatchOptions");
  const patch = parseJsonBody(request.body);
  const record = context.store.get(resource.collection, storageKey(namespace, name));
  if (record === undefined) {
    throw notFound(groupResource(resource), name);
  }
  const { body, unknownFields } = applyPatch(mediaType, resource.fromStorage(record.object), patch);
  const decoded = decodePatched(resource, body);
  if (nameOf(decoded.object) !== name) {
    throw badRequest(
      `the name of the object (${nameOf(decoded.object)}) does not match the name on the URL (${name})`,
    );
  }
  report([...unknownFields, ...decoded.strictErrors], body, options.fieldValidation, call.warnings);
  return { object: update(context, call, record, decoded.object, options), created: false };
}

/** The patch types that a resource takes. Custom resources have no merge keys, so they take no strategic merge patch. */
export function patchTypesOf(resource: Resource): string[] {
  return resource.isCustom ? [JSON_PATCH, MERGE_PATCH] : [JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH];
}

function applyPatch(mediaType: string, object: JsonObject, patch: JsonValue): Patched {
  if (mediaType === JSON_PATCH) {
    const { operations, unknownFields } = decodeJsonPatch(patch);
    return { body: applyJsonPatch(object, operations), unknownFields };
  }
  if (!isObject(patch)) {
    throw badRequest("error decoding patch: a merge patch must be an object");
  }
  const apply = mediaType === MERGE_PATCH ? applyMergePatch : applyStrategicMergePatch;
  return { body: apply(object, patch), unknownFields: [] };
}

/** A result that cannot be decoded is an error of the patch: 422 on the field `patch`. */
function decodePatched(resource: Resource, body: JsonValue): Decoded {
  try {
    return decodeObject(resource, cloneJson(body), { anyVersion: true });
  } catch (error) {
    if (error instanceof ApiError && error.status === 400) {
      throw unusable(body, error.message);
    }
    throw error;
  }
}

function report(
  unknownFields: readonly string[],
  body: JsonValue,
  fieldValidation: FieldValidation,
  warnings: string[],
): void {
  if (unknownFields.length > 0 && fieldValidation === "Strict") {
    throw unusable(body, `strict decoding error: ${unknownFields.join(", ")}`);
  }
  if (fieldValidation === "Warn") {
    warnings.push(...unknownFields);
  }
}

function unusable(body: JsonValue, why: string): ApiError {
  return invalidObject({ group: "", kind: "" }, "", [invalid("patch", JSON.stringify(body), why)]);
}
