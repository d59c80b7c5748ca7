import type { ApiContext } from "./api-context.ts";
import {
  badRequest,
  expired,
  invalidObject,
  notFound,
  resourceVersionTooLarge,
  untranslated,
} from "./api-error.ts";
import type { ResourceRequest } from "./api-request.ts";
import { decodeContinue, encodeContinue } from "./continue-token.ts";
import { forbidden, notSupported, type FieldError } from "./field-error.ts";
import type { JsonObject } from "./json.ts";
import { nameOf, namespaceOf } from "./object-meta.ts";
import { groupResource, storageKey } from "./resource.ts";
import { everything, parseFieldSelector, parseLabelSelector, type Predicate } from "./selectors.ts";
import type { Store } from "./store.ts";

/** One page of a list. */
export interface ObjectPage {
  readonly items: JsonObject[];
  readonly resourceVersion: string;
  /** Token for the next page; absent on the last one. */
  readonly continue?: string;
  /** How many objects are left; absent when selectors make it unknown. */
  readonly remainingItemCount?: number;
}

/** GET of one object. @throws ApiError 404, 504 for a resourceVersion from the future */
export function getObject({ store }: ApiContext, call: ResourceRequest): JsonObject {
  const { resource, namespace, name, request } = call;
  checkReached(store, parseResourceVersion(request.query.get("resourceVersion")));
  const record = store.get(resource.collection, storageKey(namespace, name));
  if (record === undefined) {
    throw notFound(groupResource(resource), name);
  }
  return resource.fromStorage(record.object);
}

/**
 * GET of a collection, in pages if `limit` is given. All pages show the state at the first page's
 * resourceVersion.
 *
 * @throws ApiError 400, 410 Expired when that state is no longer known, 422 for bad options, 504
 */
export function listObjects({ store }: ApiContext, call: ResourceRequest): ObjectPage {
  const { query } = call.request;
  refuse(listOptionErrors(query));
  const start = startOf(store, query);
  const matches = selection(call);
  const objects =
    start.revision === store.revision
      ? store.list(call.resource.collection)
      : store.listAt(call.resource.collection, start.revision);
  const items = objects
    .filter((object) => start.after === undefined || keyOf(object) > start.after)
    .map((object) => call.resource.fromStorage(object))
    .filter(matches);
  const limit = parseCount(query, "limit");
  const resourceVersion = String(start.revision);
  if (limit === 0 || items.length <= limit) {
    return { items, resourceVersion };
  }
  const page = items.slice(0, limit);
  const last = page.at(-1);
  const hasSelector = isGiven(query, "labelSelector") || isGiven(query, "fieldSelector");
  return {
    items: page,
    resourceVersion,
    continue: encodeContinue({ revision: start.revision, after: last === undefined ? "" : keyOf(last) }),
    ...(hasSelector ? {} : { remainingItemCount: items.length - limit }),
  };
}

/** The objects of a collection that a request's selectors pick, as they are now. */
export function selectedObjects({ store }: ApiContext, call: ResourceRequest): JsonObject[] {
  return store
    .list(call.resource.collection)
    .map((object) => call.resource.fromStorage(object))
    .filter(selection(call));
}

/** What a request on a collection selects: namespace, name, labels and fields. */
export function selection({ request, resource, namespace, name }: ResourceRequest): Predicate {
  const labels = request.query.get("labelSelector") ?? "";
  const fields = request.query.get("fieldSelector") ?? "";
  const byLabel = labels === "" ? everything : parseLabelSelector(labels);
  const byField = fields === "" ? everything : parseFieldSelector(fields, resource.selectableFields);
  return (object) =>
    (namespace === "" || namespaceOf(object) === namespace) &&
    (name === "" || nameOf(object) === name) &&
    byLabel(object) &&
    byField(object);
}

/** Where a list starts: the state it shows, and the key after which it goes on. */
interface ListStart {
  readonly revision: number;
  readonly after: string | undefined;
}

function startOf(store: Store, query: URLSearchParams): ListStart {
  const token = query.get("continue") ?? "";
  if (token !== "") {
    return continued(store, token, query);
  }
  const version = query.get("resourceVersion") ?? "";
  if (!/^\d*$/.test(version)) {
    throw badRequest(`invalid resource version: ${JSON.stringify(version)} is not a number`);
  }
  const wanted = Number(version);
  checkReached(store, wanted);
  const isExact =
    query.get("resourceVersionMatch") === "Exact" ||
    // The legacy form: a limited list at a version means exactly that version.
    (!isGiven(query, "resourceVersionMatch") && wanted > 0 && parseCount(query, "limit") > 0);
  if (!isExact) {
    return { revision: store.revision, after: undefined };
  }
  if (!store.covers(wanted)) {
    throw expired(`The resourceVersion for the provided list is too old.`);
  }
  return { revision: wanted, after: undefined };
}

function continued(store: Store, token: string, query: URLSearchParams): ListStart {
  const resourceVersion = query.get("resourceVersion") ?? "";
  if (resourceVersion !== "" && resourceVersion !== "0") {
    throw badRequest("specifying resource version is not allowed when using continue");
  }
  const { revision, after } = decodeContinue(token);
  if (revision < 0) {
    return { revision: store.revision, after };
  }
  checkReached(store, revision);
  if (!store.covers(revision)) {
    // With this token the client may continue from the current state, if it accepts an inconsistent list.
    throw expired(
      "The provided continue parameter is too old to display a consistent list result. You can start a new list " +
        "without the continue parameter, or use the continue token in this response to retrieve the remainder " +
        "of the results. Continuing with the provided token results in an inconsistent list - objects that were " +
        "created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
      encodeContinue({ revision: -1, after }),
    );
  }
  return { revision, after };
}

function keyOf(object: JsonObject): string {
  return storageKey(namespaceOf(object), nameOf(object));
}

function isGiven(query: URLSearchParams, name: string): boolean {
  return (query.get(name) ?? "") !== "";
}

/** A count in the query; 0 when absent. @throws ApiError 400 when it is not a number */
export function parseCount(query: URLSearchParams, name: string): number {
  const text = query.get(name) ?? "";
  if (!/^-?\d*$/.test(text)) {
    throw badRequest(`invalid value for ${name}: ${JSON.stringify(text)} is not a number`);
  }
  return Math.max(0, Number(text));
}

/** A resourceVersion in the query; 0 ("any") when absent. @throws ApiError 500 when it is not a number */
export function parseResourceVersion(text: string | null): number {
  if (text === null || text === "") {
    return 0;
  }
  if (!/^\d+$/.test(text)) {
    throw untranslated(`resourceVersion: Invalid value: ${JSON.stringify(text)}: it must be a number`);
  }
  return Number(text);
}

/** @throws ApiError 504 when the store has not reached that revision yet */
export function checkReached(store: Store, revision: number): void {
  if (revision > store.revision) {
    throw resourceVersionTooLarge(revision, store.revision);
  }
}

const RESOURCE_VERSION_MATCHES = ["Exact", "NotOlderThan"];

function listOptionErrors(query: URLSearchParams): FieldError[] {
  const errors: FieldError[] = [];
  const match = query.get("resourceVersionMatch") ?? "";
  const version = query.get("resourceVersion") ?? "";
  if (match !== "") {
    if (version === "") {
      errors.push(
        forbidden(
          "resourceVersionMatch",
          "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
      );
    }
    if (isGiven(query, "continue")) {
      errors.push(
        forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"),
      );
    }
    if (!RESOURCE_VERSION_MATCHES.includes(match)) {
      errors.push(notSupported("resourceVersionMatch", match, [...RESOURCE_VERSION_MATCHES, ""]));
    }
    if (match === "Exact" && version === "0") {
      errors.push(
        forbidden(
          "resourceVersionMatch",
          'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        ),
      );
    }
  }
  if (isGiven(query, "sendInitialEvents")) {
    errors.push(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
  }
  return errors;
}

/** Errors in the options of a watch. */
export function watchOptionErrors(query: URLSearchParams): FieldError[] {
  const errors: FieldError[] = [];
  const match = query.get("resourceVersionMatch") ?? "";
  const hasInitialEvents = isGiven(query, "sendInitialEvents");
  if (hasInitialEvents && match !== "NotOlderThan") {
    const detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
    errors.push(forbidden("resourceVersionMatch", detail));
  }
  if (match !== "") {
    if (!hasInitialEvents) {
      const detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
      errors.push(forbidden("resourceVersionMatch", detail));
    }
    if (match !== "NotOlderThan") {
      errors.push(notSupported("resourceVersionMatch", match, ["NotOlderThan"]));
    }
    if (isGiven(query, "continue")) {
      errors.push(
        forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"),
      );
    }
  }
  return errors;
}

/** @throws ApiError 422 when there are errors */
export function refuse(errors: readonly FieldError[]): void {
  if (errors.length > 0) {
    throw invalidObject({ group: "meta.k8s.io", kind: "ListOptions" }, "", errors);
  }
}
