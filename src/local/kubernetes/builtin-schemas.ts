import { OBJECT_META_SCHEMA } from "./object-meta.ts";
import type { StructuralSchema } from "./structural-schema.ts";

/** The fields of the built-in kinds (Kubernetes API reference). */

const TEXT: StructuralSchema = { type: "string" };
const INT32: StructuralSchema = { type: "integer", format: "int32" };
const TIME: StructuralSchema = { type: "string", format: "date-time", nullable: true };
const MICRO_TIME: StructuralSchema = { type: "string", format: "micro-time", nullable: true };
const TEXT_MAP: StructuralSchema = { type: "object", additionalProperties: TEXT };
const BYTES_MAP: StructuralSchema = {
  type: "object",
  additionalProperties: { type: "string", format: "byte" },
};

function fields(properties: Readonly<Record<string, StructuralSchema>>): StructuralSchema {
  return { type: "object", properties };
}

function resource(
  description: string,
  properties: Readonly<Record<string, StructuralSchema>>,
): StructuralSchema {
  const typeMeta = { apiVersion: TEXT, kind: TEXT, metadata: OBJECT_META_SCHEMA };
  return { description, type: "object", properties: { ...typeMeta, ...properties } };
}

const OBJECT_REFERENCE = fields({
  apiVersion: TEXT,
  fieldPath: TEXT,
  kind: TEXT,
  name: TEXT,
  namespace: TEXT,
  resourceVersion: TEXT,
  uid: TEXT,
});
const EVENT_SOURCE = fields({ component: TEXT, host: TEXT });
const EVENT_SERIES = fields({ count: INT32, lastObservedTime: MICRO_TIME });

/** coordination.k8s.io/v1 Lease. */
export const leaseSchema = resource("Lease defines a lease concept.", {
  spec: fields({
    acquireTime: MICRO_TIME,
    holderIdentity: TEXT,
    leaseDurationSeconds: INT32,
    leaseTransitions: INT32,
    preferredHolder: TEXT,
    renewTime: MICRO_TIME,
    strategy: TEXT,
  }),
});

const COMMON_EVENT_FIELDS = {
  action: TEXT,
  eventTime: MICRO_TIME,
  reason: TEXT,
  related: OBJECT_REFERENCE,
  reportingInstance: TEXT,
  series: EVENT_SERIES,
  type: TEXT,
};

/** core/v1 Event. */
export const coreEventSchema = resource("Event is a report of an event somewhere in the cluster.", {
  ...COMMON_EVENT_FIELDS,
  count: INT32,
  firstTimestamp: TIME,
  involvedObject: OBJECT_REFERENCE,
  lastTimestamp: TIME,
  message: TEXT,
  reportingComponent: TEXT,
  source: EVENT_SOURCE,
});

/** events.k8s.io/v1 Event. */
export const eventsEventSchema = resource("Event is a report of an event somewhere in the cluster.", {
  ...COMMON_EVENT_FIELDS,
  deprecatedCount: INT32,
  deprecatedFirstTimestamp: TIME,
  deprecatedLastTimestamp: TIME,
  deprecatedSource: EVENT_SOURCE,
  note: TEXT,
  regarding: OBJECT_REFERENCE,
  reportingController: TEXT,
});

/** core/v1 Namespace. */
export const namespaceSchema = resource("Namespace provides a scope for Names.", {
  spec: fields({ finalizers: { type: "array", items: TEXT } }),
  status: fields({
    conditions: {
      type: "array",
      items: fields({ lastTransitionTime: TIME, message: TEXT, reason: TEXT, status: TEXT, type: TEXT }),
    },
    phase: TEXT,
  }),
});

/** core/v1 Secret. */
export const secretSchema = resource("Secret holds secret data of a certain type.", {
  data: BYTES_MAP,
  immutable: { type: "boolean" },
  stringData: TEXT_MAP,
  type: TEXT,
});

/** core/v1 ConfigMap. */
export const configMapSchema = resource("ConfigMap holds configuration data for pods to consume.", {
  binaryData: BYTES_MAP,
  data: TEXT_MAP,
  immutable: { type: "boolean" },
});

/** apiextensions.k8s.io/v1 CustomResourceDefinition: served as it was read. */
export const crdSchema = resource(
  "CustomResourceDefinition represents a resource that should be exposed on the API server.",
  {
    spec: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    status: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
  },
);
