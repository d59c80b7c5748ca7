import { isDnsLabel, isLabelValue, isQualifiedName } from "../../base/names.ts";
import { badRequest } from "./api-error.ts";
import { forbidden, invalid, required, type FieldError } from "./field-error.ts";
import {
  asObject,
  asString,
  asStrings,
  equalJson,
  isObject,
  type JsonObject,
  type JsonValue,
} from "./json.ts";
import { nameProblems, type NameRule } from "./names.ts";
import { pruneFields } from "./pruning.ts";
import { validateSchema } from "./schema-validation.ts";
import type { StructuralSchema } from "./structural-schema.ts";

const STRING_MAP: StructuralSchema = { type: "object", additionalProperties: { type: "string" } };
const TIME: StructuralSchema = { type: "string", format: "date-time" };

/** The fields of ObjectMeta (Kubernetes API reference). */
export const OBJECT_META_SCHEMA: StructuralSchema = {
  type: "object",
  properties: {
    annotations: STRING_MAP,
    creationTimestamp: TIME,
    deletionGracePeriodSeconds: { type: "integer", format: "int64" },
    deletionTimestamp: TIME,
    finalizers: { type: "array", items: { type: "string" } },
    generateName: { type: "string" },
    generation: { type: "integer", format: "int64" },
    labels: STRING_MAP,
    managedFields: {
      type: "array",
      items: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    },
    name: { type: "string" },
    namespace: { type: "string" },
    ownerReferences: {
      type: "array",
      items: {
        type: "object",
        properties: {
          apiVersion: { type: "string" },
          blockOwnerDeletion: { type: "boolean" },
          controller: { type: "boolean" },
          kind: { type: "string" },
          name: { type: "string" },
          uid: { type: "string" },
        },
      },
    },
    resourceVersion: { type: "string" },
    selfLink: { type: "string" },
    uid: { type: "string" },
  },
};

const TOTAL_ANNOTATION_LIMIT_BYTES = 256 * 1024;

/** `metadata` of an object, empty when absent. */
export function metadataOf(object: JsonObject): JsonObject {
  return asObject(object["metadata"]);
}

/** `metadata.name`, empty when absent. */
export function nameOf(object: JsonObject): string {
  return asString(metadataOf(object)["name"]);
}

/** `metadata.namespace`, empty when absent. */
export function namespaceOf(object: JsonObject): string {
  return asString(metadataOf(object)["namespace"]);
}

/** `metadata.finalizers`. */
export function finalizersOf(object: JsonObject): string[] {
  return asStrings(metadataOf(object)["finalizers"]);
}

/** Whether deletion has been asked for. */
export function isDeleting(object: JsonObject): boolean {
  return metadataOf(object)["deletionTimestamp"] !== undefined;
}

/** A time as metadata carries it: RFC 3339 in UTC with whole seconds. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

/**
 * Changes `metadata` in place into what decoding into Go's ObjectMeta gives: unknown and empty fields are dropped.
 * `managedFields` is dropped too: field ownership is not kept here.
 *
 * @returns paths of the unknown fields
 * @throws ApiError 400 when a field has the wrong type
 */
export function normalizeMetadata(object: JsonObject): string[] {
  const { metadata } = object;
  if (metadata === undefined || metadata === null) {
    delete object["metadata"];
    return [];
  }
  if (!isObject(metadata)) {
    throw badRequest("metadata is not an object");
  }
  dropEmpty(metadata);
  const [problem] = validateSchema(metadata, OBJECT_META_SCHEMA, "metadata");
  if (problem !== undefined) {
    throw badRequest(`unable to decode ObjectMeta: ${problem.field}: ${problem.detail}`);
  }
  const unknown = pruneFields(metadata, OBJECT_META_SCHEMA, "metadata");
  delete metadata["managedFields"];
  delete metadata["selfLink"];
  return unknown;
}

/** Go's `omitempty`: null, "", [] and {} mean "not set". */
function dropEmpty(metadata: JsonObject): void {
  for (const [name, value] of Object.entries(metadata)) {
    const isEmpty =
      value === null ||
      value === "" ||
      (Array.isArray(value) && value.length === 0) ||
      (isObject(value) && Object.keys(value).length === 0);
    if (isEmpty || (name === "generation" && value === 0)) {
      delete metadata[name];
    }
  }
}

/** Checks metadata as a whole: name, namespace, labels, annotations, owners, finalizers. */
export function validateObjectMeta(object: JsonObject, namespaced: boolean, rule: NameRule): FieldError[] {
  const metadata = metadataOf(object);
  const { name, generateName } = metadata;
  const errors: FieldError[] = [];
  if (typeof generateName === "string") {
    // A prefix may end where a name may not.
    const padded = rule === "path-segment" ? generateName : generateName.replace(/-$/, "a");
    const problems = nameProblems(padded, rule);
    errors.push(...problems.map((problem) => invalid("metadata.generateName", generateName, problem)));
  }
  if (typeof name === "string") {
    errors.push(...nameProblems(name, rule).map((problem) => invalid("metadata.name", name, problem)));
  } else {
    errors.push(required("metadata.name", "name or generateName is required"));
  }
  return [
    ...errors,
    ...validateNamespace(metadata, namespaced),
    ...validateCommon(metadata),
    ...validateFinalizers(metadata),
  ];
}

function validateNamespace({ namespace }: JsonObject, namespaced: boolean): FieldError[] {
  if (!namespaced) {
    return namespace === undefined ? [] : [forbidden("metadata.namespace", "not allowed on this type")];
  }
  if (namespace === undefined) {
    return [required("metadata.namespace")];
  }
  return isDnsLabel(asString(namespace))
    ? []
    : nameProblems(asString(namespace), "dns-label").map((why) =>
        invalid("metadata.namespace", namespace, why),
      );
}

function validateCommon(metadata: JsonObject): FieldError[] {
  return [
    ...validateGeneration(metadata),
    ...validateLabels(asObject(metadata["labels"])),
    ...validateAnnotations(asObject(metadata["annotations"])),
    ...validateOwners(metadata["ownerReferences"]),
  ];
}

function validateGeneration({ generation }: JsonObject): FieldError[] {
  return typeof generation === "number" && generation < 0
    ? [invalid("metadata.generation", generation, "must be greater than or equal to 0")]
    : [];
}

const QUALIFIED_NAME_PROBLEM =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

function validateLabels(labels: JsonObject): FieldError[] {
  return Object.entries(labels).flatMap(([key, value]) => [
    ...(isQualifiedName(key) ? [] : [invalid("metadata.labels", key, QUALIFIED_NAME_PROBLEM)]),
    ...(isLabelValue(asString(value))
      ? []
      : [
          invalid(
            "metadata.labels",
            value,
            "a valid label must be an empty string or consist of at most 63 alphanumeric characters, '-', '_' or '.'",
          ),
        ]),
  ]);
}

function validateAnnotations(annotations: JsonObject): FieldError[] {
  const errors = Object.keys(annotations)
    .filter((key) => !isQualifiedName(key.toLowerCase()))
    .map((key) => invalid("metadata.annotations", key, QUALIFIED_NAME_PROBLEM));
  const sizeBytes = Object.entries(annotations).reduce(
    (total, [key, value]) => total + Buffer.byteLength(key) + Buffer.byteLength(asString(value)),
    0,
  );
  if (sizeBytes > TOTAL_ANNOTATION_LIMIT_BYTES) {
    const detail = `may not be more than ${TOTAL_ANNOTATION_LIMIT_BYTES} bytes`;
    errors.push({ type: "FieldValueTooLong", field: "metadata.annotations", detail });
  }
  return errors;
}

function validateOwners(owners: JsonValue | undefined): FieldError[] {
  const list = Array.isArray(owners) ? owners.map((owner) => asObject(owner)) : [];
  const errors = list.flatMap((owner, index) =>
    ["apiVersion", "kind", "name", "uid"]
      .filter((field) => asString(owner[field]) === "")
      .map((field) => required(`metadata.ownerReferences[${index}].${field}`, "must not be empty")),
  );
  if (list.filter((owner) => owner["controller"] === true).length > 1) {
    const detail = "Only one reference can have Controller set to true";
    errors.push(invalid("metadata.ownerReferences", owners, detail));
  }
  return errors;
}

function validateFinalizers(metadata: JsonObject): FieldError[] {
  return asStrings(metadata["finalizers"])
    .filter((finalizer) => !isQualifiedName(finalizer))
    .map((finalizer) => invalid("metadata.finalizers", finalizer, QUALIFIED_NAME_PROBLEM));
}

const IMMUTABLE_FIELDS = [
  "name",
  "namespace",
  "uid",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
];

/** Checks that an update leaves immutable metadata as it is. */
export function validateObjectMetaUpdate(object: JsonObject, old: JsonObject): FieldError[] {
  const metadata = metadataOf(object);
  const oldMetadata = metadataOf(old);
  const errors: FieldError[] = [];
  if (isDeleting(old)) {
    const known = new Set(finalizersOf(old));
    const added = finalizersOf(object).filter((finalizer) => !known.has(finalizer));
    if (added.length > 0) {
      const detail =
        "no new finalizers can be added if the object is being deleted, found new finalizers " +
        added.join(", ");
      errors.push(forbidden("metadata.finalizers", detail));
    }
  }
  for (const field of IMMUTABLE_FIELDS) {
    if (!equalJson(metadata[field], oldMetadata[field])) {
      errors.push(invalid(`metadata.${field}`, metadata[field] ?? "", "field is immutable"));
    }
  }
  return [...errors, ...validateCommon(metadata)];
}
