import { badRequest, invalidObject } from "./api-error.ts";
import type { ApiRequest, User } from "./api-request.ts";
import { API_AUDIENCE, type Authenticator } from "./authentication.ts";
import { parseBody } from "./decode.ts";
import type { VirtualResource } from "./discovery.ts";
import { invalid } from "./field-error.ts";
import { asObject, asString, asStrings, isObject, type JsonObject } from "./json.ts";

/** What somebody asks to be allowed. */
export interface AccessRequest {
  readonly user: User;
  /** `resourceAttributes` of the review: namespace, verb, group, resource, subresource, name. */
  readonly resource?: JsonObject;
  /** `nonResourceAttributes`: path and verb. */
  readonly nonResource?: JsonObject;
}

/** Answers SubjectAccessReviews. */
export type Authorizer = (request: AccessRequest) => { readonly allowed: boolean; readonly reason?: string };

/** Allows everything: everyone with a token of an installation on one machine is its administrator. */
export const allowAll: Authorizer = () => ({ allowed: true });

/** The review resources of this server. */
export const REVIEWS: readonly VirtualResource[] = [
  { group: "authentication.k8s.io", version: "v1", kind: "TokenReview", plural: "tokenreviews" },
  { group: "authentication.k8s.io", version: "v1", kind: "SelfSubjectReview", plural: "selfsubjectreviews" },
  {
    group: "authorization.k8s.io",
    version: "v1",
    kind: "SubjectAccessReview",
    plural: "subjectaccessreviews",
  },
  {
    group: "authorization.k8s.io",
    version: "v1",
    kind: "SelfSubjectAccessReview",
    plural: "selfsubjectaccessreviews",
  },
];

/** What is needed to answer reviews. */
export interface ReviewContext {
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
}

/**
 * POST of a review: the same object with its status filled in.
 *
 * @throws ApiError 400 when the body is something else, 422 when the spec is not valid
 */
export function answerReview(
  context: ReviewContext,
  review: VirtualResource,
  request: ApiRequest,
  user: User,
): JsonObject {
  const body = parseBody(request.body, request.headers["content-type"]);
  const apiVersion = `${review.group}/${review.version}`;
  if (!isObject(body)) {
    throw badRequest(`cannot decode the body into ${review.kind}: it is not an object`);
  }
  if ((body["kind"] ?? review.kind) !== review.kind || (body["apiVersion"] ?? apiVersion) !== apiVersion) {
    throw badRequest(`the body is not a ${review.kind} of ${apiVersion}`);
  }
  const spec = asObject(body["spec"]);
  const answer = { kind: review.kind, apiVersion, metadata: { creationTimestamp: null } };
  switch (review.kind) {
    case "TokenReview":
      return { ...answer, spec, status: tokenStatus(context.authenticator, spec) };
    case "SelfSubjectReview":
      return { ...answer, status: { userInfo: userInfo(user) } };
    case "SelfSubjectAccessReview":
      return { ...answer, spec, status: accessStatus(context.authorizer, spec, user) };
    default:
      return { ...answer, spec, status: accessStatus(context.authorizer, spec, subjectOf(spec)) };
  }
}

const INVALID_TOKEN = "invalid bearer token";
/** The group of all users whose token was accepted. */
const AUTHENTICATED = "system:authenticated";

function tokenStatus(authenticator: Authenticator, spec: JsonObject): JsonObject {
  const token = asString(spec["token"]);
  if (token === "") {
    throw badRequest("token is required for TokenReview in authentication");
  }
  const user = authenticator.userOf(token);
  if (user === undefined) {
    return { user: {}, error: INVALID_TOKEN };
  }
  const wanted = asStrings(spec["audiences"]);
  const valid = user.audiences ?? [API_AUDIENCE];
  const audiences = wanted.length === 0 ? valid : valid.filter((audience) => wanted.includes(audience));
  if (audiences.length === 0) {
    return { user: {}, error: INVALID_TOKEN };
  }
  return { authenticated: true, user: userInfo(user), audiences: [...audiences] };
}

function userInfo({ name, uid, groups }: User): JsonObject {
  return {
    username: name,
    ...(uid === undefined ? {} : { uid }),
    groups: [...new Set([...groups, AUTHENTICATED])],
  };
}

function accessStatus(authorizer: Authorizer, spec: JsonObject, user: User): JsonObject {
  const { resourceAttributes, nonResourceAttributes } = spec;
  if (isObject(resourceAttributes) === isObject(nonResourceAttributes)) {
    throw invalidObject({ group: "authorization.k8s.io", kind: "" }, "", [
      invalid("spec", null, "exactly one of nonResourceAttributes or resourceAttributes must be specified"),
    ]);
  }
  const { allowed, reason } = authorizer({
    user,
    ...(isObject(resourceAttributes) ? { resource: resourceAttributes } : {}),
    ...(isObject(nonResourceAttributes) ? { nonResource: nonResourceAttributes } : {}),
  });
  return { allowed, ...(reason === undefined ? {} : { reason }) };
}

function subjectOf(spec: JsonObject): User {
  const name = asString(spec["user"]);
  const groups = asStrings(spec["groups"]);
  if (name === "" && groups.length === 0) {
    throw invalidObject({ group: "authorization.k8s.io", kind: "" }, "", [
      invalid("spec.user", "", "at least one of user or group must be specified"),
    ]);
  }
  const uid = asString(spec["uid"]);
  return { name, groups, ...(uid === "" ? {} : { uid }) };
}
