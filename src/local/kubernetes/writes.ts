import type { ApiContext } from "./api-context.ts";
import {
  alreadyExists,
  badRequest,
  conflict,
  invalidObject,
  notFound,
  OPTIMISTIC_LOCK_MESSAGE,
  untranslated,
} from "./api-error.ts";
import type { ResourceRequest } from "./api-request.ts";
import { NAMESPACES } from "./builtin-resources.ts";
import { decodeBody, readForm, type Decoded } from "./decode.ts";
import { invalid } from "./field-error.ts";
import { generateName, randomUid } from "./identifiers.ts";
import { asObject, asString, cloneJson, equalJson, type JsonObject } from "./json.ts";
import { checkNamespace, finishNamespace } from "./namespaces.ts";
import { finalizersOf, formatTime, isDeleting, metadataOf, nameOf, namespaceOf } from "./object-meta.ts";
import { groupResource, storageKey, type Resource } from "./resource.ts";
import type { StoredRecord } from "./store.ts";
import { validateCreate, validateStatusUpdate, validateUpdate } from "./validation.ts";
import { writeOptions, type FieldValidation, type WriteOptions } from "./write-options.ts";

/** Result of a write. */
export interface WriteResult {
  readonly object: JsonObject;
  readonly created: boolean;
}

/**
 * POST: adds an object.
 *
 * @throws ApiError 400, 403, 404 (namespace), 409 AlreadyExists, 422
 */
export function createObject(context: ApiContext, call: ResourceRequest): WriteResult {
  const { request, resource } = call;
  const options = writeOptions(request.query, "CreateOptions");
  const decoded = decodeBody(resource, request.body, request.headers["content-type"]);
  reportUnknownFields(decoded, options.fieldValidation, call.warnings);
  return insert(context, call, decoded.object, options);
}

function insert(
  context: ApiContext,
  call: ResourceRequest,
  object: JsonObject,
  { dryRun }: WriteOptions,
): WriteResult {
  const { resource } = call;
  const metadata = placeInNamespace(object, call);
  if (asString(metadata["resourceVersion"]) !== "") {
    throw untranslated("resourceVersion should not be set on objects to be created");
  }
  fillSystemFields(context, resource, object, metadata);
  const name = nameOf(object);
  if (resource.namespaced) {
    checkNamespace(context, resource, call.namespace, name);
  }
  if (resource.isCustom && resource.hasStatus) {
    delete object["status"];
  }
  resource.prepare?.(object, undefined);
  validateCreate(resource, object);
  call.warnings.push(...finalizerWarnings(resource, object, undefined));
  const key = storageKey(namespaceOf(object), name);
  if (context.store.get(resource.collection, key) !== undefined) {
    throw alreadyExists(groupResource(resource), name);
  }
  if (dryRun) {
    return { object: readForm(resource, resource.toStorage(object)), created: true };
  }
  const record = context.store.create(resource.collection, key, resource.toStorage(object));
  return { object: resource.fromStorage(record.object), created: true };
}

/** Sets the namespace of the URL; another one in the object is an error. Returns the metadata. */
function placeInNamespace(object: JsonObject, { resource, namespace }: ResourceRequest): JsonObject {
  const metadata = asObject(object["metadata"]);
  object["metadata"] = metadata;
  const given = asString(metadata["namespace"]);
  if (!resource.namespaced) {
    delete metadata["namespace"];
  } else if (given === "") {
    metadata["namespace"] = namespace;
  } else if (given !== namespace) {
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
  }
  return metadata;
}

function fillSystemFields(
  { clock, random }: ApiContext,
  resource: Resource,
  object: JsonObject,
  metadata: JsonObject,
): void {
  delete metadata["deletionTimestamp"];
  delete metadata["deletionGracePeriodSeconds"];
  delete metadata["generation"];
  metadata["creationTimestamp"] = formatTime(clock.now());
  metadata["uid"] = randomUid(random);
  if (asString(metadata["name"]) === "" && asString(metadata["generateName"]) !== "") {
    metadata["name"] = generateName(asString(metadata["generateName"]), random);
  }
  if (resource.hasGeneration) {
    metadata["generation"] = 1;
  }
  object["metadata"] = metadata;
}

/**
 * PUT: replaces an object, or its status.
 *
 * @throws ApiError 400, 404, 409 Conflict, 422
 */
export function replaceObject(context: ApiContext, call: ResourceRequest): WriteResult {
  const { request, resource, name, namespace } = call;
  const options = writeOptions(request.query, "UpdateOptions");
  const decoded = decodeBody(resource, request.body, request.headers["content-type"]);
  reportUnknownFields(decoded, options.fieldValidation, call.warnings);
  const { object } = decoded;
  if (nameOf(object) !== name) {
    throw badRequest(
      `the name of the object (${nameOf(object)}) does not match the name on the URL (${name})`,
    );
  }
  const key = storageKey(namespace, name);
  const record = context.store.get(resource.collection, key);
  if (record === undefined) {
    if (!resource.allowsCreateOnUpdate) {
      throw notFound(groupResource(resource), name);
    }
    return insert(context, call, object, options);
  }
  const uid = asString(metadataOf(object)["uid"]);
  const existingUid = asString(metadataOf(record.object)["uid"]);
  if (uid !== "" && uid !== existingUid) {
    const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${existingUid}`;
    throw conflict(groupResource(resource), name, why);
  }
  return { object: update(context, call, record, object, options), created: false };
}

/**
 * Replaces the object in `record` by `object`: the common part of PUT and PATCH.
 *
 * @throws ApiError 400, 409 Conflict, 422
 */
export function update(
  context: ApiContext,
  call: ResourceRequest,
  record: StoredRecord,
  object: JsonObject,
  { dryRun }: WriteOptions,
): JsonObject {
  const { resource, subresource } = call;
  const old = resource.fromStorage(record.object);
  checkResourceVersion(resource, object, old);
  placeInNamespace(object, call);
  const next = subresource === "status" ? withStatusOnly(object, old) : withoutStatus(resource, object, old);
  keepSystemFields(next, old);
  if (subresource === "status") {
    validateStatusUpdate(resource, next, old);
  } else {
    bumpGeneration(resource, next, old);
    resource.prepare?.(next, old);
    validateUpdate(resource, next, old);
    call.warnings.push(...finalizerWarnings(resource, next, old));
  }
  const stored = resource.toStorage(next);
  if (dryRun) {
    return readForm(resource, stored);
  }
  const key = record.key;
  if (isDeleting(next) && finalizersOf(next).length === 0 && resource.collection !== NAMESPACES) {
    // Watches show the object as it was stored, with its finalizers; the writer gets what it wrote, with the version
    // that it replaced.
    context.store.remove(resource.collection, key);
    finishNamespace(context, call.namespace);
    return withVersion(readForm(resource, stored), record.revision);
  }
  const result = resource.fromStorage(context.store.update(resource.collection, key, stored).object);
  if (resource.collection === NAMESPACES) {
    finishNamespace(context, key);
  }
  return result;
}

function withVersion(object: JsonObject, revision: number): JsonObject {
  return { ...object, metadata: { ...metadataOf(object), resourceVersion: String(revision) } };
}

function checkResourceVersion(resource: Resource, object: JsonObject, old: JsonObject): void {
  const given = asString(metadataOf(object)["resourceVersion"]);
  const name = nameOf(old);
  if (given === "") {
    if (!resource.allowsUnconditionalUpdate) {
      const why = invalid("metadata.resourceVersion", 0, "must be specified for an update");
      throw invalidObject({ group: resource.group, kind: resource.plural }, name, [why]);
    }
    return;
  }
  if (!/^\d+$/.test(given)) {
    throw untranslated(`strconv.ParseUint: parsing ${JSON.stringify(given)}: invalid syntax`);
  }
  if (given !== asString(metadataOf(old)["resourceVersion"])) {
    throw conflict(groupResource(resource), name, OPTIMISTIC_LOCK_MESSAGE);
  }
}

/** A write to the status subresource: the stored object with the new status. */
function withStatusOnly(object: JsonObject, old: JsonObject): JsonObject {
  const { status: _old, ...rest } = cloneJson(old);
  const { status } = object;
  return status === undefined ? rest : { ...rest, status };
}

/** A write to the object itself does not touch a status that has a subresource of its own. */
function withoutStatus(resource: Resource, object: JsonObject, old: JsonObject): JsonObject {
  if (!resource.hasStatus) {
    return object;
  }
  const { status: _new, ...rest } = object;
  return old["status"] === undefined ? rest : { ...rest, status: cloneJson(old["status"]) };
}

const KEPT_IF_OLD_HAS = ["creationTimestamp", "deletionTimestamp"];
const KEPT_IF_ABSENT = ["uid", "deletionGracePeriodSeconds"];

function keepSystemFields(object: JsonObject, old: JsonObject): void {
  const metadata = asObject(object["metadata"]);
  const oldMetadata = metadataOf(old);
  for (const field of KEPT_IF_OLD_HAS) {
    const value = oldMetadata[field];
    if (value !== undefined) {
      metadata[field] = value;
    }
  }
  for (const field of KEPT_IF_ABSENT) {
    const value = oldMetadata[field];
    if (value !== undefined) {
      metadata[field] ??= value;
    }
  }
  const { generation } = oldMetadata;
  if (generation === undefined) {
    delete metadata["generation"];
  } else {
    metadata["generation"] = generation;
  }
  object["metadata"] = metadata;
}

/** Any change outside of metadata (and status, where that is separate) is a new generation. */
function bumpGeneration(resource: Resource, object: JsonObject, old: JsonObject): void {
  if (!resource.hasGeneration) {
    return;
  }
  const { metadata: _new, ...content } = object;
  const { metadata: _old, ...oldContent } = old;
  if (!equalJson(content, oldContent)) {
    asObject(object["metadata"])["generation"] = Number(metadataOf(old)["generation"] ?? 0) + 1;
  }
}

const STANDARD_FINALIZERS = new Set(["orphan", "foregroundDeletion", "kubernetes"]);

/** Custom resources warn of new finalizers whose names could clash. */
function finalizerWarnings(resource: Resource, object: JsonObject, old: JsonObject | undefined): string[] {
  const known = new Set(old === undefined ? [] : finalizersOf(old));
  return finalizersOf(object)
    .filter(
      (name) =>
        resource.isCustom && !known.has(name) && !name.includes("/") && !STANDARD_FINALIZERS.has(name),
    )
    .map((name) => {
      const wish = name.includes(".")
        ? "prefer a domain-qualified finalizer name including a path (/)"
        : "prefer a domain-qualified finalizer name";
      return `metadata.finalizers: "${name}": ${wish} to avoid accidental conflicts with other finalizer writers`;
    });
}

/** Warns of fields that were dropped, or refuses them. */
export function reportUnknownFields(
  { strictErrors }: Decoded,
  fieldValidation: FieldValidation,
  warnings: string[],
): void {
  if (strictErrors.length === 0 || fieldValidation === "Ignore") {
    return;
  }
  if (fieldValidation === "Strict") {
    throw badRequest(`strict decoding error: ${strictErrors.join(", ")}`);
  }
  warnings.push(...strictErrors);
}
