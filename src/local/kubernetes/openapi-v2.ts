import type { JsonObject } from "./json.ts";
import { definitionsOf, OPENAPI_INFO, pathsOf } from "./openapi-model.ts";
import type { Resource } from "./resource.ts";

/** The definitions of /openapi/v2, by name. */
export function definitionsV2(resources: readonly Resource[]): Record<string, JsonObject> {
  return definitionsOf(resources, (name) => ({ $ref: `#/definitions/${name}` }));
}

/** The body of /openapi/v2 as JSON. */
export function openApiV2(resources: readonly Resource[]): JsonObject {
  const paths = resources.flatMap(pathsOf).map(({ path, operations }) => {
    const byMethod = operations.map(
      ({ method, id, parameters, gvk }) =>
        [
          method,
          {
            operationId: id,
            "x-kubernetes-action": method,
            "x-kubernetes-group-version-kind": gvk,
            parameters: parameters.map((name) => ({ name, in: "query", type: "string", uniqueItems: true })),
            responses: { "200": { description: "OK" } },
          },
        ] as const,
    );
    return [path, Object.fromEntries(byMethod)] as const;
  });
  return {
    swagger: "2.0",
    info: OPENAPI_INFO,
    paths: Object.fromEntries(paths),
    definitions: definitionsV2(resources),
  };
}
