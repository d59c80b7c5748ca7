import { asString, valueAt, type JsonObject } from "./json.ts";
import { nameOf, namespaceOf } from "./object-meta.ts";

const REFERENCE_FIELDS = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"];

/** What core/v1 events can be selected by. @param event in the form of core/v1 */
export function coreEventFields(event: JsonObject): Record<string, string> {
  return {
    ...commonFields(event),
    ...referenceFields(event, "involvedObject"),
    reportingComponent: asString(event["reportingComponent"]),
    source: asString(valueAt(event, "source", "component")) || asString(event["reportingComponent"]),
  };
}

/** What events.k8s.io/v1 events can be selected by. @param event in the form of core/v1 */
export function eventsV1Fields(event: JsonObject): Record<string, string> {
  return {
    ...commonFields(event),
    ...referenceFields(event, "regarding"),
    reportingController: asString(event["reportingComponent"]),
  };
}

function commonFields(event: JsonObject): Record<string, string> {
  return {
    "metadata.name": nameOf(event),
    "metadata.namespace": namespaceOf(event),
    reason: asString(event["reason"]),
    type: asString(event["type"]),
  };
}

function referenceFields(event: JsonObject, prefix: string): Record<string, string> {
  const fields = REFERENCE_FIELDS.map(
    (field) => [`${prefix}.${field}`, asString(valueAt(event, "involvedObject", field))] as const,
  );
  return Object.fromEntries(fields);
}
