import { badRequest, invalidObject } from "./api-error.ts";
import { notSupported, type FieldError } from "./field-error.ts";
import { asString, isObject, type JsonObject } from "./json.ts";
import { parseBody } from "./decode.ts";
import type { ApiRequest } from "./api-request.ts";

/** How unknown fields are treated (Kubernetes documentation, "Server-side field validation"). */
export type FieldValidation = "Strict" | "Warn" | "Ignore";

/** Options of create, update and patch. */
export interface WriteOptions {
  readonly dryRun: boolean;
  readonly fieldValidation: FieldValidation;
}

const FIELD_VALIDATIONS: readonly string[] = ["Ignore", "Warn", "Strict"];
const META_GROUP = "meta.k8s.io";
const MAX_FIELD_MANAGER_LENGTH = 128;

/**
 * Reads the query of a write.
 *
 * @param kind "CreateOptions", "UpdateOptions" or "PatchOptions", for the error
 * @throws ApiError 422 for values that are not supported
 */
export function writeOptions(query: URLSearchParams, kind: string): WriteOptions {
  const errors = dryRunErrors(query.getAll("dryRun"));
  const directive = query.get("fieldValidation") ?? "";
  if (directive !== "" && !FIELD_VALIDATIONS.includes(directive)) {
    errors.push(notSupported("fieldValidation", directive, ["", ...FIELD_VALIDATIONS]));
  }
  const fieldManager = query.get("fieldManager") ?? "";
  if (fieldManager.length > MAX_FIELD_MANAGER_LENGTH) {
    const detail = `may not be more than ${MAX_FIELD_MANAGER_LENGTH} bytes`;
    errors.push({ type: "FieldValueTooLong", field: "fieldManager", detail });
  }
  if (errors.length > 0) {
    throw invalidObject({ group: META_GROUP, kind }, "", errors);
  }
  return {
    dryRun: isDryRun(query.getAll("dryRun")),
    // Without the parameter the server warns, since 1.27.
    fieldValidation: directive === "" ? "Warn" : (directive as FieldValidation),
  };
}

function dryRunErrors(values: readonly string[]): FieldError[] {
  return values.every((value) => value === "All" || value === "")
    ? []
    : [notSupported("dryRun", [...values], ["All"])];
}

function isDryRun(values: readonly string[]): boolean {
  return values.includes("All");
}

/** Options of deletions. */
export interface DeleteOptions {
  readonly dryRun: boolean;
  /** Only if the object has this UID. */
  readonly uid: string | undefined;
  /** Only if the object has this resourceVersion. */
  readonly resourceVersion: string | undefined;
}

const PROPAGATION_POLICIES: readonly string[] = ["Foreground", "Background", "Orphan"];

/**
 * Reads DeleteOptions from the body, or from the query when there is none. Propagation policies are accepted but
 * change nothing: no garbage collector runs here.
 *
 * @throws ApiError 400 when the body is something else, 422 for values that are not supported
 */
export function deleteOptions(request: ApiRequest): DeleteOptions {
  const { query } = request;
  const body = request.body === "" ? {} : deleteBody(request);
  const fromBody = request.body !== "";
  const dryRun = fromBody ? stringList(body["dryRun"]) : query.getAll("dryRun");
  const policy = fromBody ? asString(body["propagationPolicy"]) : (query.get("propagationPolicy") ?? "");
  const orphan = fromBody ? body["orphanDependents"] : query.get("orphanDependents");
  const errors = dryRunErrors(dryRun);
  if (policy !== "" && !PROPAGATION_POLICIES.includes(policy)) {
    errors.push(notSupported("propagationPolicy", policy, [...PROPAGATION_POLICIES, "nil"]));
  }
  if (policy !== "" && isSet(orphan)) {
    const detail = "orphanDependents and deletionPropagation cannot be both set";
    errors.push({ type: "FieldValueInvalid", field: "propagationPolicy", value: policy, detail });
  }
  if (errors.length > 0) {
    throw invalidObject({ group: META_GROUP, kind: "DeleteOptions" }, "", errors);
  }
  const preconditions = isObject(body["preconditions"]) ? body["preconditions"] : {};
  return {
    dryRun: isDryRun(dryRun),
    uid: asString(preconditions["uid"]) || undefined,
    resourceVersion: asString(preconditions["resourceVersion"]) || undefined,
  };
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "";
}

function deleteBody(request: ApiRequest): JsonObject {
  const body = parseBody(request.body, request.headers["content-type"]);
  if (body === null) {
    return {};
  }
  if (!isObject(body) || (body["kind"] !== undefined && body["kind"] !== "DeleteOptions")) {
    throw badRequest("the body of a deletion must be DeleteOptions");
  }
  return body;
}

function stringList(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
