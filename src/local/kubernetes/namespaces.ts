import type { ApiContext } from "./api-context.ts";
import { forbiddenError, notFound } from "./api-error.ts";
import { NAMESPACES } from "./builtin-resources.ts";
import { asObject, cloneJson, type JsonObject } from "./json.ts";
import { finalizersOf, formatTime, isDeleting, nameOf } from "./object-meta.ts";
import { groupResource, type Resource } from "./resource.ts";
import { randomUid } from "./identifiers.ts";

const NAMESPACES_RESOURCE = { group: "", resource: "namespaces" };

/** Namespaces that exist from the first start on. */
export const INITIAL_NAMESPACES: readonly string[] = ["default", "kube-system"];

/** Creates the initial namespaces where they are missing. Their UIDs never change after that. */
export function createInitialNamespaces({ store, clock, random }: ApiContext): void {
  for (const name of INITIAL_NAMESPACES) {
    if (store.get(NAMESPACES, name) === undefined) {
      store.create(NAMESPACES, name, {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: {
          name,
          uid: randomUid(random),
          creationTimestamp: formatTime(clock.now()),
          labels: { "kubernetes.io/metadata.name": name },
        },
        spec: { finalizers: ["kubernetes"] },
        status: { phase: "Active" },
      });
    }
  }
}

/**
 * Objects are created only in namespaces that exist and are not being deleted (admission plugin NamespaceLifecycle).
 *
 * @throws ApiError 404 without the namespace, 403 while it is being deleted
 */
export function checkNamespace(
  { store }: ApiContext,
  resource: Resource,
  namespace: string,
  name: string,
): void {
  const record = store.get(NAMESPACES, namespace);
  if (record === undefined) {
    throw notFound(NAMESPACES_RESOURCE, namespace);
  }
  if (isDeleting(record.object)) {
    const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
    throw forbiddenError(groupResource(resource), name, why, [
      {
        reason: "NamespaceTerminating",
        message: `namespace ${namespace} is being terminated`,
        field: "metadata.namespace",
      },
    ]);
  }
}

/** @throws ApiError 403 for namespaces that always exist */
export function checkDeletable(name: string): void {
  if (INITIAL_NAMESPACES.includes(name)) {
    throw forbiddenError(NAMESPACES_RESOURCE, name, "this namespace may not be deleted");
  }
}

/**
 * Takes part of the work of Kubernetes' namespace controller: a namespace marked for deletion loses its
 * content, and goes itself once the last object is gone. Objects with finalizers hold it.
 *
 * @param deleteObject deletes one object, or marks it when it has finalizers
 */
export function emptyNamespace(
  { store }: ApiContext,
  namespace: string,
  deleteObject: (collection: string, key: string) => void,
): void {
  for (const [collection, key] of contentOf(store, namespace)) {
    deleteObject(collection, key);
  }
}

function contentOf(store: ApiContext["store"], namespace: string): [string, string][] {
  const prefix = `${namespace}/`;
  return store
    .collections()
    .filter((collection) => collection !== NAMESPACES)
    .flatMap((collection) =>
      store
        .list(collection)
        .filter((object) => asObject(object["metadata"])["namespace"] === namespace)
        .map((object): [string, string] => [collection, prefix + nameOf(object)]),
    );
}

/** Removes a namespace that is being deleted, is empty and has no finalizers of its own. */
export function finishNamespace({ store }: ApiContext, namespace: string): void {
  const record = store.get(NAMESPACES, namespace);
  if (record === undefined || !isDeleting(record.object)) {
    return;
  }
  if (contentOf(store, namespace).length === 0 && finalizersOf(record.object).length === 0) {
    store.remove(NAMESPACES, namespace);
  }
}

/** The namespace as it is shown while its content is being deleted. */
export function terminating(namespace: JsonObject): JsonObject {
  return { ...cloneJson(namespace), status: { ...asObject(namespace["status"]), phase: "Terminating" } };
}
