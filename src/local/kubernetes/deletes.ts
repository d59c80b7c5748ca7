import type { ApiContext } from "./api-context.ts";
import { conflict, notFound } from "./api-error.ts";
import type { ResourceRequest } from "./api-request.ts";
import { NAMESPACES } from "./builtin-resources.ts";
import { asObject, asString, cloneJson, type JsonObject } from "./json.ts";
import { checkDeletable, emptyNamespace, finishNamespace, terminating } from "./namespaces.ts";
import { finalizersOf, formatTime, isDeleting, metadataOf, nameOf, namespaceOf } from "./object-meta.ts";
import { selectedObjects } from "./reads.ts";
import { groupResource, storageKey, type Resource } from "./resource.ts";
import { deleteOptions, type DeleteOptions } from "./write-options.ts";

/**
 * DELETE of one object: removes it, or marks it for deletion when it has finalizers.
 *
 * @returns a Status when it was removed, the object when it was only marked
 * @throws ApiError 404, 409 when a precondition does not hold, 403 for namespaces that always exist
 */
export function deleteObject(context: ApiContext, call: ResourceRequest): JsonObject {
  const { resource, namespace, name } = call;
  const options = deleteOptions(call.request);
  const record = context.store.get(resource.collection, storageKey(namespace, name));
  if (record === undefined) {
    throw notFound(groupResource(resource), name);
  }
  const object = resource.fromStorage(record.object);
  checkPreconditions(resource, object, options);
  if (resource.collection === NAMESPACES) {
    checkDeletable(name);
  }
  const left = options.dryRun
    ? (marked(context, resource.collection, record.object) ?? undefined)
    : deleteOrMark(context, resource.collection, record.key);
  return left === undefined ? success(resource, object) : resource.fromStorage(left);
}

/**
 * DELETE of the objects of a collection that the selectors match.
 *
 * @returns the objects: as they were before removal, or as they are when finalizers keep them
 */
export function deleteCollection(context: ApiContext, call: ResourceRequest): JsonObject[] {
  const { resource } = call;
  const options = deleteOptions(call.request);
  return selectedObjects(context, call).map((object) => {
    if (options.dryRun) {
      return object;
    }
    const key = storageKey(namespaceOf(object), nameOf(object));
    const left = deleteOrMark(context, resource.collection, key);
    return left === undefined ? object : resource.fromStorage(left);
  });
}

/** Removes one object or marks it; returns it while it is still there. */
function deleteOrMark(context: ApiContext, collection: string, key: string): JsonObject | undefined {
  const { store } = context;
  const record = store.get(collection, key);
  if (record === undefined) {
    return undefined;
  }
  const { object } = record;
  const next = marked(context, collection, object);
  if (next === undefined) {
    store.remove(collection, key);
    finishNamespace(context, namespaceOf(object));
    return undefined;
  }
  const left = isDeleting(object) ? object : store.update(collection, key, next).object;
  if (collection !== NAMESPACES) {
    return left;
  }
  emptyNamespace(context, key, (contentCollection, contentKey) => {
    deleteOrMark(context, contentCollection, contentKey);
  });
  finishNamespace(context, key);
  // The namespace may have been removed by now; the answer is the object nevertheless.
  return left;
}

/** The object, marked for deletion if it has finalizers or is a namespace with content. */
function marked(context: ApiContext, collection: string, object: JsonObject): JsonObject | undefined {
  const isNamespace = collection === NAMESPACES;
  if (finalizersOf(object).length === 0 && !isNamespace) {
    return undefined;
  }
  if (isDeleting(object)) {
    return object;
  }
  const next = isNamespace ? terminating(object) : cloneJson(object);
  const metadata = asObject(next["metadata"]);
  metadata["deletionTimestamp"] = formatTime(context.clock.now());
  if (!isNamespace) {
    metadata["deletionGracePeriodSeconds"] = 0;
  }
  const { generation } = metadata;
  if (typeof generation === "number" && generation > 0) {
    metadata["generation"] = generation + 1;
  }
  return next;
}

function checkPreconditions(resource: Resource, object: JsonObject, options: DeleteOptions): void {
  const metadata = metadataOf(object);
  const check = (what: string, wanted: string | undefined, actual: string): void => {
    if (wanted !== undefined && wanted !== actual) {
      const why = `the ${what} in the precondition (${wanted}) does not match the ${what} in record (${actual})`;
      // apiserver's generic layer names the kind here, not the plural.
      throw conflict({ group: resource.group, resource: resource.kind }, nameOf(object), why);
    }
  };
  check("UID", options.uid, asString(metadata["uid"]));
  check("ResourceVersion", options.resourceVersion, asString(metadata["resourceVersion"]));
}

function success(resource: Resource, object: JsonObject): JsonObject {
  const uid = asString(metadataOf(object)["uid"]);
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Success",
    details: {
      name: nameOf(object),
      ...(resource.group === "" ? {} : { group: resource.group }),
      kind: resource.plural,
      uid,
    },
  };
}
