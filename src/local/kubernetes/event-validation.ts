import { isQualifiedName } from "../../base/names.ts";
import { invalid, required, type FieldError } from "./field-error.ts";
import { asString, isObject, valueAt, type JsonObject } from "./json.ts";
import { namespaceOf } from "./object-meta.ts";

/** Rules of Kubernetes' pkg/apis/core/validation/events.go. All functions take events in the form of core/v1. */

const SYSTEM_NAMESPACES = new Set(["default", "kube-system"]);
const EVENT_TYPES = new Set(["Normal", "Warning"]);
const MAX_LENGTHS = { reportingInstance: 128, action: 128, reason: 128, message: 1024 } as const;

/** Checks an event written through core/v1. Old ones, without eventTime, follow a looser rule. */
export function validateCoreEvent(event: JsonObject): FieldError[] {
  const namespace = namespaceOf(event);
  const involved = involvedNamespace(event);
  if (asString(event["eventTime"]) === "") {
    const fits = involved === "" ? namespace === "" || namespace === "default" : involved === namespace;
    return fits ? [] : [mismatch(involved)];
  }
  return [
    ...(involved === "" && !SYSTEM_NAMESPACES.has(namespace) ? [mismatch(involved)] : []),
    ...validateNewFields(event, "reportingComponent"),
  ];
}

/** Checks an event written through events.k8s.io/v1. On updates only the old rules hold. */
export function validateEventsV1(event: JsonObject, isUpdate: boolean): FieldError[] {
  if (isUpdate) {
    return [];
  }
  const namespace = namespaceOf(event);
  const involved = involvedNamespace(event);
  const fits = involved === "" ? SYSTEM_NAMESPACES.has(namespace) : involved === namespace;
  const hasTime = asString(event["eventTime"]) !== "";
  return [
    ...(fits ? [] : [mismatch(involved)]),
    ...(hasTime ? validateNewFields(event, "reportingController") : [required("eventTime")]),
    ...(EVENT_TYPES.has(asString(event["type"]))
      ? []
      : [invalid("type", "", `has invalid value: ${asString(event["type"])}`)]),
    ...deprecatedFields(event),
  ];
}

function involvedNamespace(event: JsonObject): string {
  return asString(valueAt(event, "involvedObject", "namespace"));
}

function mismatch(namespace: string): FieldError {
  return invalid("involvedObject.namespace", namespace, "does not match event.namespace");
}

/** @param controllerField what the API version calls the reporting controller */
function validateNewFields(event: JsonObject, controllerField: string): FieldError[] {
  const controller = asString(event["reportingComponent"]);
  const missing = ["reportingInstance", "action", "reason"].filter((field) => asString(event[field]) === "");
  const tooLong = Object.entries(MAX_LENGTHS).filter(
    ([field, limit]) => asString(event[field]).length > limit,
  );
  return [
    ...(controller === "" ? [required(controllerField)] : []),
    ...(controller === "" ? [invalid(controllerField, controller, "name part must be non-empty")] : []),
    ...(isQualifiedName(controller)
      ? []
      : [
          invalid(
            controllerField,
            controller,
            "name part must consist of alphanumeric characters, '-', '_' or '.'",
          ),
        ]),
    ...missing.map((field) => required(field)),
    ...tooLong.map(([field, limit]) => invalid(field, "", `can have at most ${limit} characters`)),
  ];
}

/** Fields that new events may not use. */
function deprecatedFields(event: JsonObject): FieldError[] {
  const isSet = (field: string): boolean => {
    const value = event[field] ?? null;
    return isObject(value) ? Object.keys(value).length > 0 : value !== null && value !== 0;
  };
  return ["firstTimestamp", "lastTimestamp", "count", "source"]
    .filter(isSet)
    .map((field) => invalid(field, "", "needs to be unset"));
}
