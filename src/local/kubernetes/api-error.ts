import { SatelliteError } from "../../base/errors.ts";
import { fieldErrorBody, fieldErrorLine, type FieldError } from "./field-error.ts";
import type { JsonObject, JsonValue } from "./json.ts";

/** A resource for error messages: `satellites.satellites.dev`, or `secrets` in the core group. */
export interface GroupResource {
  readonly group: string;
  /** Lower-case plural. */
  readonly resource: string;
}

/** A cause in `details.causes` of a Status. */
export interface StatusCause {
  readonly reason?: string;
  readonly message: string;
  readonly field?: string;
}

/** `details` of a Status. */
export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
}

/**
 * A refusal as the API server answers it: an HTTP code and a Status object (API conventions, "Response
 * Status Kind"). The factories below follow apimachinery's `pkg/api/errors`, so that clients see the same
 * code, reason and causes as from kube-apiserver.
 */
export class ApiError extends SatelliteError {
  readonly status: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;
  /** A continue token to go on with, in `410 Expired` answers to lists. */
  readonly continueToken: string | undefined;

  constructor(init: {
    readonly status: number;
    readonly reason: string;
    readonly message: string;
    readonly details?: StatusDetails;
    readonly continueToken?: string;
  }) {
    super(init.reason || "Unknown", init.message);
    this.name = "ApiError";
    this.status = init.status;
    this.reason = init.reason;
    this.details = init.details;
    this.continueToken = init.continueToken;
  }

  /** The Status object that goes over the wire. */
  toStatus(): JsonObject {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: this.continueToken === undefined ? {} : { continue: this.continueToken },
      status: "Failure",
      message: this.message,
      ...(this.reason === "" ? {} : { reason: this.reason }),
      ...(this.details === undefined ? {} : { details: structuredClone(this.details) as JsonValue }),
      code: this.status,
    };
  }
}

/** `satellites.satellites.dev`: a resource with its group. */
export function qualified({ group, resource }: GroupResource): string {
  return group === "" ? resource : `${resource}.${group}`;
}

function detailsOf({ group, resource }: GroupResource, name: string): StatusDetails {
  return {
    ...(name === "" ? {} : { name }),
    ...(group === "" ? {} : { group }),
    ...(resource === "" ? {} : { kind: resource }),
  };
}

/** 400 BadRequest. */
export function badRequest(message: string): ApiError {
  return new ApiError({ status: 400, reason: "BadRequest", message });
}

/** 401 Unauthorized. */
export function unauthorized(): ApiError {
  return new ApiError({ status: 401, reason: "Unauthorized", message: "Unauthorized" });
}

/** 403 Forbidden, with an optional cause. */
export function forbiddenError(
  resource: GroupResource,
  name: string,
  why: string,
  causes: readonly StatusCause[] = [],
): ApiError {
  return new ApiError({
    status: 403,
    reason: "Forbidden",
    message: `${qualified(resource)} ${JSON.stringify(name)} is forbidden: ${why}`,
    details: { ...detailsOf(resource, name), ...(causes.length === 0 ? {} : { causes }) },
  });
}

/** 404 NotFound for an object. */
export function notFound(resource: GroupResource, name: string): ApiError {
  return new ApiError({
    status: 404,
    reason: "NotFound",
    message: `${qualified(resource)} ${JSON.stringify(name)} not found`,
    details: detailsOf(resource, name),
  });
}

/** No such path; answered in plain text, as by kube-apiserver. */
export class UnknownPathError extends SatelliteError {
  constructor() {
    super("UnknownPath", "404 page not found");
    this.name = "UnknownPathError";
  }
}

/** 405 MethodNotAllowed by a resource that exists. */
export function methodNotAllowed(resource: GroupResource, verb: string): ApiError {
  return new ApiError({
    status: 405,
    reason: "MethodNotAllowed",
    message: `${verb} is not supported on resources of kind ${JSON.stringify(qualified(resource))}`,
    details: detailsOf(resource, ""),
  });
}

/** 405 MethodNotAllowed before any resource is looked at: built-in kinds have no route for the method. */
export function noSuchRoute(): ApiError {
  return new ApiError({
    status: 405,
    reason: "MethodNotAllowed",
    message: "the server does not allow this method on the requested resource",
    details: {},
  });
}

/** 406 NotAcceptable. */
export function notAcceptable(accepted: readonly string[]): ApiError {
  return new ApiError({
    status: 406,
    reason: "NotAcceptable",
    message: `only the following media types are accepted: ${accepted.join(", ")}`,
  });
}

/** 409 AlreadyExists. */
export function alreadyExists(resource: GroupResource, name: string): ApiError {
  return new ApiError({
    status: 409,
    reason: "AlreadyExists",
    message: `${qualified(resource)} ${JSON.stringify(name)} already exists`,
    details: detailsOf(resource, name),
  });
}

/** What apiserver says when a resourceVersion does not match. */
export const OPTIMISTIC_LOCK_MESSAGE =
  "the object has been modified; please apply your changes to the latest version and try again";

/** 409 Conflict. */
export function conflict(resource: GroupResource, name: string, why: string): ApiError {
  return new ApiError({
    status: 409,
    reason: "Conflict",
    message: `Operation cannot be fulfilled on ${qualified(resource)} ${JSON.stringify(name)}: ${why}`,
    details: detailsOf(resource, name),
  });
}

/** 410 Expired: the resourceVersion is older than the oldest one that the server still knows. */
export function expired(message: string, continueToken?: string): ApiError {
  return new ApiError({
    status: 410,
    reason: "Expired",
    message,
    ...(continueToken === undefined ? {} : { continueToken }),
  });
}

/** 413 RequestEntityTooLarge. */
export function tooLarge(message: string): ApiError {
  return new ApiError({
    status: 413,
    reason: "RequestEntityTooLarge",
    message: `Request entity too large: ${message}`,
  });
}

/** 415 UnsupportedMediaType. */
export function unsupportedMediaType(accepted: readonly string[]): ApiError {
  return new ApiError({
    status: 415,
    reason: "UnsupportedMediaType",
    message: `the body of the request was in an unknown format - accepted media types include: ${accepted.join(", ")}`,
  });
}

/** 422 Invalid with one cause for each field error. */
export function invalidObject(
  kind: { readonly group: string; readonly kind: string },
  name: string,
  errors: readonly FieldError[],
): ApiError {
  const lines = [...new Set(errors.map(fieldErrorLine))];
  const shown = lines.length === 1 ? lines[0] : `[${lines.join(", ")}]`;
  const qualifiedKind = kind.group === "" ? kind.kind : `${kind.kind}.${kind.group}`;
  return new ApiError({
    status: 422,
    reason: "Invalid",
    message: `${qualifiedKind} ${JSON.stringify(name)} is invalid: ${shown}`,
    details: {
      ...(name === "" ? {} : { name }),
      ...(kind.group === "" ? {} : { group: kind.group }),
      ...(kind.kind === "" ? {} : { kind: kind.kind }),
      causes: errors.map((error) => ({
        reason: error.type,
        message: fieldErrorBody(error),
        field: error.field,
      })),
    },
  });
}

/**
 * 422 Invalid without causes: what kube-apiserver answers when a JSON patch does not apply, a failed `test`
 * and a missing path alike (`applyJSPatch` in its patch handler).
 */
export function patchNotApplicable(): ApiError {
  return new ApiError({
    status: 422,
    reason: "Invalid",
    message: "the server rejected our request due to an error in our request",
    details: {},
  });
}

/** 500 without a reason: errors that kube-apiserver does not translate, like a resourceVersion that is no number. */
export function untranslated(message: string): ApiError {
  return new ApiError({ status: 500, reason: "", message });
}

/** 500 InternalError. */
export function internalError(message: string): ApiError {
  return new ApiError({
    status: 500,
    reason: "InternalError",
    message: `Internal error occurred: ${message}`,
    details: { causes: [{ message }] },
  });
}

/** 504 Timeout: the resourceVersion asked for has not been reached yet. */
export function resourceVersionTooLarge(asked: number, current: number): ApiError {
  return new ApiError({
    status: 504,
    reason: "Timeout",
    message: `Timeout: Too large resource version: ${asked}, current: ${current}`,
    details: {
      causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
      retryAfterSeconds: 1,
    },
  });
}
