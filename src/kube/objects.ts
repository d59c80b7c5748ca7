/** Names one kind of resource on the API server. */
export interface ResourceType {
  /** API group; empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Lower-case plural, as in URLs. */
  readonly plural: string;
  readonly namespaced: boolean;
}

/** `metadata` of an object, as far as the product reads it. */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  finalizers?: string[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  /** The object is deleted when the last of its owners is gone (Kubernetes, "Garbage Collection"). */
  ownerReferences?: OwnerReference[];
}

/** The object that another belongs to. */
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** Anything that the API server stores. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
}

/**
 * The object without `metadata.managedFields`, which the product never reads: they repeat the name of every field, and
 * caches hold thousands of objects. A copy, since deleting a member would turn it into a hash table (V8), which takes
 * more memory.
 */
export function withoutManagedFields<T extends KubeObject>(object: T): T {
  if (object.metadata === undefined || !("managedFields" in object.metadata)) {
    return object;
  }
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** Names one object of a known type. */
export interface ObjectKey {
  /** Absent for cluster-scoped types. */
  readonly namespace?: string;
  readonly name: string;
}

/** "namespace/name", or "name" for cluster-scoped objects: the key of caches and work queues. */
export function keyString(key: ObjectKey): string {
  return key.namespace === undefined ? key.name : `${key.namespace}/${key.name}`;
}

/** The inverse of {@link keyString}. */
export function parseKey(key: string): ObjectKey {
  const slash = key.indexOf("/");
  return slash < 0 ? { name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** Key of an object. */
export function objectKey(object: KubeObject): ObjectKey {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? { name } : { namespace, name };
}
