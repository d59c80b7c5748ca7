import { toError } from "../../base/errors.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { ApiContext } from "./api-context.ts";
import {
  ApiError,
  badRequest,
  internalError,
  methodNotAllowed,
  noSuchRoute,
  notFound,
  UnknownPathError,
} from "./api-error.ts";
import type { ApiRequest, ApiResponse, ResourceRequest, User } from "./api-request.ts";
import type { Authenticator } from "./authentication.ts";
import { deleteCollection, deleteObject } from "./deletes.ts";
import { aggregated, coreVersions, groupInfo, groupList, resourceList, type Catalog } from "./discovery.ts";
import type { JsonObject } from "./json.ts";
import { openApiV2, OPENAPI_V2_CONTENT_TYPE } from "./openapi-v2.ts";
import { openApiV3, openApiV3Index } from "./openapi-v3.ts";
import { patchObject } from "./patches.ts";
import { getObject, listObjects } from "./reads.ts";
import { negotiate, renderer, renderList, type IncludeObject, type RenderOptions } from "./representation.ts";
import { groupResource, type Resource, type Verb } from "./resource.ts";
import { answerReview, REVIEWS, type Authorizer } from "./reviews.ts";
import { findResource, parseObjectPath, type ObjectPath } from "./routes.ts";
import { versionInfo } from "./version.ts";
import { watchObjects } from "./watch.ts";
import { createObject, replaceObject, type WriteResult } from "./writes.ts";

/** Answers requests. It is synchronous: a write is done when the answer is returned. */
export type Handler = (request: ApiRequest) => ApiResponse;

/** What {@link createHandler} needs. */
export interface HandlerOptions {
  readonly context: ApiContext;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly logger: Logger;
  /** `host:port` under which clients reach the server, for discovery. */
  readonly address: () => string;
}

const HEALTH_PATHS = new Set(["/healthz", "/livez", "/readyz"]);
const AGGREGATED_DISCOVERY = /application\/json;g=apidiscovery\.k8s\.io;v=v2;as=APIGroupDiscoveryList/;

/** The whole API as one function, over sockets and in process alike. */
export function createHandler(options: HandlerOptions): Handler {
  const { logger } = options;
  return (request) => {
    try {
      return dispatch(options, request);
    } catch (error) {
      if (error instanceof UnknownPathError) {
        const headers = { "content-type": "text/plain; charset=utf-8" };
        return { status: 404, headers, body: `${error.message}\n`, warnings: [] };
      }
      if (error instanceof ApiError) {
        return json(error.toStatus(), error.status, retryHeaders(error));
      }
      logger.error("request failed", { method: request.method, path: request.path, error: toError(error) });
      const failure = internalError(toError(error).message);
      return json(failure.toStatus(), failure.status);
    }
  };
}

function retryHeaders(error: ApiError): Record<string, string> {
  const seconds = error.details?.retryAfterSeconds;
  return seconds === undefined ? {} : { "retry-after": String(seconds) };
}

function json(
  body: JsonObject,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
  warnings: readonly string[] = [],
): ApiResponse {
  return {
    status,
    headers: { "content-type": "application/json", ...headers },
    body: `${JSON.stringify(body)}\n`,
    warnings,
  };
}

function dispatch(options: HandlerOptions, request: ApiRequest): ApiResponse {
  // Everybody may read health and version, as in a cluster with its default roles.
  if (HEALTH_PATHS.has(request.path)) {
    return {
      status: 200,
      headers: { "content-type": "text/plain; charset=utf-8" },
      body: "ok",
      warnings: [],
    };
  }
  if (request.path === "/version" || request.path === "/version/") {
    return json(versionInfo());
  }
  const user = options.authenticator.authenticate(request.headers["authorization"]);
  const described = request.method === "GET" ? describe(options, request) : undefined;
  if (described !== undefined) {
    return described;
  }
  const path = parseObjectPath(request.path);
  if (path === undefined) {
    throw new UnknownPathError();
  }
  const review = REVIEWS.find(
    ({ group, version, plural }) =>
      group === path.group && version === path.version && plural === path.plural,
  );
  if (review !== undefined) {
    if (request.method !== "POST") {
      throw noSuchRoute();
    }
    return json(answerReview(options, review, request, user), 201);
  }
  return serveObjects(options.context, request, path, user);
}

/** Discovery and OpenAPI; undefined for other paths. */
function describe(options: HandlerOptions, request: ApiRequest): ApiResponse | undefined {
  const { resources } = options.context;
  const catalog: Catalog = { resources, virtual: REVIEWS };
  const accept = request.headers["accept"] ?? "";
  const [root, second, third, ...rest] = request.path.split("/").filter((part) => part !== "");
  if (root === "openapi") {
    return openApi(
      resources,
      [second, third, ...rest].filter((part) => part !== undefined),
    );
  }
  if (rest.length > 0 || (root !== "api" && root !== "apis")) {
    return root === undefined
      ? json({ paths: ["/api", "/apis", "/healthz", "/openapi/v2", "/openapi/v3", "/version"] })
      : undefined;
  }
  if (second === undefined) {
    if (AGGREGATED_DISCOVERY.test(accept)) {
      const contentType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
      return json(aggregated(catalog, root === "api"), 200, { "content-type": contentType });
    }
    return json(root === "api" ? coreVersions(catalog, options.address()) : groupList(catalog));
  }
  const body =
    root === "api"
      ? third === undefined
        ? resourceList(catalog, "", second)
        : undefined
      : third === undefined
        ? groupInfo(catalog, second)
        : resourceList(catalog, second, third);
  return body === undefined ? undefined : json(body);
}

function openApi(
  resources: readonly Resource[],
  [version, ...rest]: readonly string[],
): ApiResponse | undefined {
  if (version === "v2" && rest.length === 0) {
    const headers = { "content-type": OPENAPI_V2_CONTENT_TYPE };
    return { status: 200, headers, body: openApiV2(resources), warnings: [] };
  }
  if (version !== "v3") {
    return undefined;
  }
  const body = rest.length === 0 ? openApiV3Index(resources) : openApiV3(resources, rest.join("/"));
  return body === undefined ? undefined : json(body);
}

function serveObjects(context: ApiContext, request: ApiRequest, path: ObjectPath, user: User): ApiResponse {
  const resource = findResource(context.resources, path);
  const { namespace, name, subresource } = path;
  if (resource === undefined || !isServed(resource, path, request.method)) {
    throw new UnknownPathError();
  }
  if (subresource !== "" && (subresource !== "status" || !resource.hasStatus)) {
    throw resource.isCustom ? notFound(groupResource(resource), name) : new UnknownPathError();
  }
  const verb = verbOf(request, path, resource);
  if (verb === undefined || !resource.verbs.includes(verb) || !fitsSubresource(verb, subresource)) {
    throw refusal(resource, request.method, path);
  }
  const call: ResourceRequest = {
    request,
    resource,
    namespace,
    name,
    subresource: subresource === "status" ? "status" : "",
    user,
    warnings: [],
  };
  return answer(context, call, verb);
}

/** Whether a resource is served at a path: single namespaced objects only within a namespace, and their creation too. */
function isServed(resource: Resource, { namespace, name }: ObjectPath, method: string): boolean {
  if (!resource.namespaced) {
    return namespace === "";
  }
  return namespace !== "" || (name === "" && method !== "POST");
}

/** The refusal of a verb. Built-in kinds have no route for it; custom resources have one handler, which refuses it. */
function refusal(resource: Resource, method: string, { name }: ObjectPath): ApiError {
  if (!resource.isCustom) {
    return noSuchRoute();
  }
  return name === "" && (method === "PUT" || method === "PATCH")
    ? badRequest("name must be provided")
    : methodNotAllowed(groupResource(resource), method.toLowerCase());
}

function fitsSubresource(verb: Verb, subresource: string): boolean {
  return subresource === "" || verb === "get" || verb === "update" || verb === "patch";
}

function verbOf({ method, query }: ApiRequest, path: ObjectPath, { isCustom }: Resource): Verb | undefined {
  const isCollection = path.name === "";
  switch (method) {
    case "GET": {
      const watch = query.get("watch");
      if (path.isWatch || (watch !== null && watch !== "false" && watch !== "0")) {
        return "watch";
      }
      return isCollection ? "list" : "get";
    }
    case "POST":
      // Custom resources have one handler for all paths, which does not look at the name here.
      return isCollection || isCustom ? "create" : undefined;
    case "PUT":
      return isCollection ? undefined : "update";
    case "PATCH":
      return isCollection ? undefined : "patch";
    case "DELETE":
      return isCollection ? "deletecollection" : "delete";
    default:
      return undefined;
  }
}

function answer(context: ApiContext, call: ResourceRequest, verb: Verb): ApiResponse {
  const rendering = renderOptions(context, call);
  const render = renderer(rendering);
  const written = ({ object, created }: WriteResult): ApiResponse =>
    json(render(object) as JsonObject, created ? 201 : 200, {}, call.warnings);
  switch (verb) {
    case "get":
      return json(render(getObject(context, call)) as JsonObject);
    case "list": {
      const { items, ...metadata } = listObjects(context, call);
      return json(renderList(items, metadata, rendering));
    }
    case "watch":
      return {
        status: 200,
        headers: { "content-type": "application/json" },
        body: watchObjects(context, call, render),
        warnings: [],
      };
    case "create":
      return written(createObject(context, call));
    case "update":
      return written(replaceObject(context, call));
    case "patch":
      return written(patchObject(context, call));
    case "delete": {
      const left = deleteObject(context, call);
      return json(left["kind"] === "Status" ? left : (render(left) as JsonObject));
    }
    case "deletecollection": {
      const items = deleteCollection(context, call);
      return json(renderList(items, { resourceVersion: String(context.store.revision) }, rendering));
    }
  }
}

const INCLUDE_OBJECT: ReadonlySet<string> = new Set(["None", "Metadata", "Object"]);

function renderOptions({ clock }: ApiContext, { request, resource }: ResourceRequest): RenderOptions {
  const includeObject = request.query.get("includeObject") ?? "";
  return {
    resource,
    representation: negotiate(request.headers["accept"]),
    includeObject: INCLUDE_OBJECT.has(includeObject) ? (includeObject as IncludeObject) : "Metadata",
    now: () => clock.now(),
  };
}
