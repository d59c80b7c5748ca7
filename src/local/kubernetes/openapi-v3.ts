import { createHash } from "node:crypto";
import type { JsonObject } from "./json.ts";
import { definitionsOf, OPENAPI_INFO, pathsOf, type OperationModel } from "./openapi-model.ts";
import { apiVersionOf, type Resource } from "./resource.ts";

/** The body of /openapi/v3: where the description of each group version is. */
export function openApiV3Index(resources: readonly Resource[]): JsonObject {
  const keys = new Set(resources.map(keyOf));
  const paths = [...keys].map((key) => {
    const hash = createHash("sha256")
      .update(JSON.stringify(openApiV3(resources, key)))
      .digest("hex");
    return [key, { serverRelativeURL: `/openapi/v3/${key}?hash=${hash.toUpperCase()}` }] as const;
  });
  return { paths: Object.fromEntries(paths) };
}

/** `apis/satellites.dev/v1alpha1`, `api/v1`. */
function keyOf(resource: Resource): string {
  return `${resource.group === "" ? "api" : "apis"}/${apiVersionOf(resource)}`;
}

/** The body of /openapi/v3/KEY, or undefined for an unknown group version. */
export function openApiV3(resources: readonly Resource[], key: string): JsonObject | undefined {
  const found = resources.filter((resource) => keyOf(resource) === key);
  if (found.length === 0) {
    return undefined;
  }
  const reference = (name: string): JsonObject => ({
    allOf: [{ $ref: `#/components/schemas/${name}` }],
    default: {},
  });
  const paths = found.flatMap(pathsOf).map(({ path, operations }) => {
    const byMethod = operations.map((operation) => [operation.method, operationOf(operation)] as const);
    return [path, Object.fromEntries(byMethod)] as const;
  });
  return {
    openapi: "3.0.0",
    info: OPENAPI_INFO,
    paths: Object.fromEntries(paths),
    components: { schemas: definitionsOf(found, reference) },
  };
}

function operationOf({ id, parameters, gvk, method }: OperationModel): JsonObject {
  return {
    operationId: id,
    "x-kubernetes-action": method,
    "x-kubernetes-group-version-kind": gvk,
    parameters: parameters.map((name) => ({
      name,
      in: "query",
      schema: { type: "string", uniqueItems: true },
    })),
    responses: { "200": { description: "OK" } },
  };
}
