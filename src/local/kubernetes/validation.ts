import { invalidObject } from "./api-error.ts";
import { invalid, type FieldError } from "./field-error.ts";
import { asString, type JsonObject } from "./json.ts";
import { nameOf, validateObjectMeta, validateObjectMetaUpdate } from "./object-meta.ts";
import { apiVersionOf, type Resource } from "./resource.ts";
import { validateListTypes, validateSchema } from "./schema-validation.ts";

// Errors after which rules are not evaluated, because values could have the wrong form for them.
const BLOCKING = new Set<string>([
  "FieldValueNotSupported",
  "FieldValueRequired",
  "FieldValueTooLong",
  "FieldValueTooMany",
  "FieldValueTypeInvalid",
]);

/** @throws ApiError 422 when the new object is not valid */
export function validateCreate(resource: Resource, object: JsonObject): void {
  const errors = typeMetaErrors(resource, object);
  if (errors.length === 0) {
    errors.push(
      ...validateObjectMeta(object, resource.namespaced, resource.nameRule),
      ...validateSchema(object, resource.schema, ""),
      ...validateListTypes(object, resource.schema, ""),
      ...(resource.validate?.(object, undefined) ?? []),
    );
    errors.push(...ruleErrors(resource, object, undefined, errors));
  }
  refuse(resource, object, errors);
}

/** @throws ApiError 422 when `object` may not take the place of `old` */
export function validateUpdate(resource: Resource, object: JsonObject, old: JsonObject): void {
  const errors = typeMetaErrors(resource, object);
  if (errors.length === 0) {
    errors.push(
      ...metadataUpdateErrors(resource, object, old),
      ...validateSchema(object, resource.schema, "", old),
      ...listTypeErrors(resource, object, old),
      ...(resource.validate?.(object, old) ?? []),
    );
    errors.push(...ruleErrors(resource, object, old, errors));
  }
  refuse(resource, object, errors);
}

/** @throws ApiError 422 when the status of `object` may not take the place of that of `old` */
export function validateStatusUpdate(resource: Resource, object: JsonObject, old: JsonObject): void {
  const errors = typeMetaErrors(resource, object);
  if (errors.length === 0) {
    const { status } = object;
    const schema = resource.schema.properties?.["status"];
    errors.push(...metadataUpdateErrors(resource, object, old));
    if (status !== undefined && schema !== undefined) {
      errors.push(...validateSchema(status, schema, "status", old["status"]));
    }
    errors.push(...listTypeErrors(resource, object, old));
    errors.push(...ruleErrors(resource, object, old, errors));
  }
  refuse(resource, object, errors);
}

/**
 * Metadata of updates is checked by apiserver's generic layer and again by the strategy of each kind; a client sees
 * the causes of both.
 */
function metadataUpdateErrors(resource: Resource, object: JsonObject, old: JsonObject): FieldError[] {
  const updateErrors = validateObjectMetaUpdate(object, old);
  return [
    ...validateObjectMeta(object, resource.namespaced, "path-segment"),
    ...updateErrors,
    ...updateErrors,
  ];
}

/** Duplicates that were there before do not stop an update. */
function listTypeErrors(resource: Resource, object: JsonObject, old: JsonObject): FieldError[] {
  const errors = validateListTypes(object, resource.schema, "");
  return errors.length > 0 && validateListTypes(old, resource.schema, "").length === 0 ? errors : [];
}

function ruleErrors(
  { rules }: Resource,
  object: JsonObject,
  old: JsonObject | undefined,
  errors: readonly FieldError[],
): FieldError[] {
  if (rules === undefined) {
    return [];
  }
  if (errors.some(({ type }) => BLOCKING.has(type))) {
    const detail =
      "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
    return [invalid("<nil>", null, detail)];
  }
  return rules.validate(object, old);
}

function typeMetaErrors(resource: Resource, object: JsonObject): FieldError[] {
  const errors: FieldError[] = [];
  if (object["kind"] !== resource.kind) {
    errors.push(invalid("kind", object["kind"] ?? "", `must be ${resource.kind}`));
  }
  if (object["apiVersion"] !== apiVersionOf(resource)) {
    errors.push(invalid("apiVersion", object["apiVersion"] ?? "", `must be ${apiVersionOf(resource)}`));
  }
  return errors;
}

function refuse(resource: Resource, object: JsonObject, errors: readonly FieldError[]): void {
  if (errors.length > 0) {
    const kind = asString(object["kind"]) || resource.kind;
    throw invalidObject({ group: resource.errorGroup ?? resource.group, kind }, nameOf(object), errors);
  }
}
