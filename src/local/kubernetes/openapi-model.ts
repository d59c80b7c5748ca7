import { cloneJson, type JsonObject, type JsonValue } from "./json.ts";
import { OBJECT_META_SCHEMA } from "./object-meta.ts";
import { apiVersionOf, type Resource } from "./resource.ts";

/** Name of ObjectMeta among the definitions. */
const OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/** Name of ListMeta among the definitions. */
const LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/** The API description's title and version. */
export const OPENAPI_INFO = { title: "Kubernetes", version: "v1.34.0" };

const GVK_EXTENSION = "x-kubernetes-group-version-kind";
const WRITE_PARAMETERS = ["dryRun", "fieldManager", "fieldValidation"];

/** One operation on a path. */
export interface OperationModel {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  readonly id: string;
  readonly parameters: readonly string[];
  readonly gvk: JsonObject;
}

/** One path with its operations. */
export interface PathModel {
  readonly path: string;
  readonly operations: readonly OperationModel[];
}

/** The definition's name in reverse domain order: `dev.satellites.v1alpha1.Satellite`. */
export function definitionName({
  group,
  version,
  kind,
}: Pick<Resource, "group" | "version" | "kind">): string {
  if (group === "") {
    return `io.k8s.api.core.${version}.${kind}`;
  }
  const isBuiltin = group.endsWith(".k8s.io") && group !== "apiextensions.k8s.io";
  const prefix = isBuiltin ? `io.k8s.api.${group.split(".")[0]}` : group.split(".").toReversed().join(".");
  return `${prefix}.${version}.${kind}`;
}

function gvkOf({ group, version, kind }: Pick<Resource, "group" | "version" | "kind">): JsonObject {
  return { group, version, kind };
}

/** Makes a reference to another definition, as the version of OpenAPI writes it. */
export type Reference = (name: string) => JsonObject;

/** The definitions of resources, of their lists and of what these refer to, by name. */
export function definitionsOf(
  resources: readonly Resource[],
  reference: Reference,
): Record<string, JsonObject> {
  const definitions = resources.flatMap((resource) => [
    [definitionName(resource), definitionOf(resource, reference)] as const,
    [
      definitionName({ ...resource, kind: resource.listKind }),
      listDefinitionOf(resource, reference),
    ] as const,
  ]);
  return {
    ...Object.fromEntries(definitions),
    [OBJECT_META]: objectMetaDefinition(),
    [LIST_META]: listMetaDefinition(),
  };
}

function definitionOf(resource: Resource, reference: Reference): JsonObject {
  const schema = withoutServerOnly(cloneJson(resource.schema as unknown as JsonObject));
  return {
    ...schema,
    properties: {
      ...(schema["properties"] as JsonObject | undefined),
      apiVersion: {
        type: "string",
        description:
          "APIVersion defines the versioned schema of this representation of an object. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources",
      },
      kind: {
        type: "string",
        description:
          "Kind is a string value representing the REST resource this object represents. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds",
      },
      metadata: {
        ...reference(OBJECT_META),
        description:
          "Standard object's metadata. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
      },
    },
    [GVK_EXTENSION]: [gvkOf(resource)],
  };
}

function listDefinitionOf(resource: Resource, reference: Reference): JsonObject {
  return {
    description: `${resource.listKind} is a list of ${resource.kind}`,
    type: "object",
    required: ["items"],
    properties: {
      apiVersion: { type: "string", description: "Version of the schema of this list." },
      items: {
        type: "array",
        description: `List of ${resource.plural}.`,
        items: reference(definitionName(resource)),
      },
      kind: { type: "string", description: "REST resource that this list represents." },
      metadata: { ...reference(LIST_META), description: "Standard list metadata." },
    },
    [GVK_EXTENSION]: [gvkOf({ ...resource, kind: resource.listKind })],
  };
}

function listMetaDefinition(): JsonObject {
  return {
    description: "ListMeta describes metadata that lists have.",
    type: "object",
    properties: {
      continue: {
        type: "string",
        description: "Token for the next page of the list; empty on the last one.",
      },
      remainingItemCount: {
        type: "integer",
        format: "int64",
        description: "How many items come after this page, where the server knows.",
      },
      resourceVersion: { type: "string", description: "Version of the state that the list shows." },
      selfLink: { type: "string", description: "Deprecated: no longer set." },
    },
  };
}

function objectMetaDefinition(): JsonObject {
  const schema = withoutServerOnly(cloneJson(OBJECT_META_SCHEMA as unknown as JsonObject));
  return {
    description:
      "ObjectMeta is metadata that all persisted resources must have, which includes all objects users must create.",
    ...schema,
  };
}

/** The schema without CEL rules, which only the server evaluates; clients that check types may refuse them. */
function withoutServerOnly(schema: JsonObject): JsonObject {
  const strip = (value: JsonValue): JsonValue => {
    if (Array.isArray(value)) {
      return value.map(strip);
    }
    if (typeof value !== "object" || value === null) {
      return value;
    }
    const kept = Object.entries(value).filter(([name]) => name !== "x-kubernetes-validations");
    return Object.fromEntries(
      // Clients do not know the format "micro-time", so they get date-time.
      kept.map(([name, child]) => [name, child === "micro-time" ? "date-time" : strip(child)]),
    );
  };
  return strip(schema) as JsonObject;
}

/** The paths of a resource, as far as clients look for them: to find kinds and write parameters. */
export function pathsOf(resource: Resource): PathModel[] {
  const root = resource.group === "" ? "/api" : "/apis";
  const scope = resource.namespaced ? "/namespaces/{namespace}" : "";
  const collection = `${root}/${apiVersionOf(resource)}${scope}/${resource.plural}`;
  const gvk = gvkOf(resource);
  const operation = (method: OperationModel["method"], verb: string, isWrite: boolean): OperationModel => ({
    method,
    id: `${verb}${resource.namespaced ? "Namespaced" : ""}${resource.kind}`,
    parameters: isWrite ? WRITE_PARAMETERS : [],
    gvk,
  });
  const has = (verb: Resource["verbs"][number]): boolean => resource.verbs.includes(verb);
  return [
    {
      path: collection,
      operations: [
        operation("get", "list", false),
        ...(has("create") ? [operation("post", "create", true)] : []),
      ],
    },
    {
      path: `${collection}/{name}`,
      operations: [
        operation("get", "read", false),
        ...(has("update") ? [operation("put", "replace", true)] : []),
        ...(has("patch") ? [operation("patch", "patch", true)] : []),
        ...(has("delete") ? [operation("delete", "delete", false)] : []),
      ],
    },
  ];
}
