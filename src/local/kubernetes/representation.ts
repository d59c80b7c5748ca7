import { notAcceptable } from "./api-error.ts";
import type { JsonObject, JsonValue } from "./json.ts";
import { metadataOf } from "./object-meta.ts";
import { apiVersionOf, type Resource } from "./resource.ts";

/** What a client wants objects shown as (API concepts, "Alternate representations of resources"). */
export type Representation = "object" | "table" | "metadata";

const PARTIAL_KINDS = new Set(["PartialObjectMetadata", "PartialObjectMetadataList"]);
const JSON_TYPES = new Set(["application/json", "*/*", "application/*", ""]);

/**
 * The first representation in an Accept header that this server has; the order of the header decides, as in
 * apiserver. Everything is JSON.
 *
 * @throws ApiError 406 when the client takes none of them
 */
export function negotiate(accept: string | undefined): Representation {
  for (const clause of (accept ?? "").split(",")) {
    const [mediaType = "", ...parameters] = clause.split(";").map((part) => part.trim());
    if (!JSON_TYPES.has(mediaType.toLowerCase())) {
      continue;
    }
    const as = parameterOf(parameters, "as");
    if (as === undefined) {
      return "object";
    }
    // v1beta1 of both was served before 1.22 only; clients that ask for it list v1 or plain JSON too.
    if (parameterOf(parameters, "g") === "meta.k8s.io" && parameterOf(parameters, "v") === "v1") {
      if (as === "Table") {
        return "table";
      }
      if (PARTIAL_KINDS.has(as)) {
        return "metadata";
      }
    }
  }
  throw notAcceptable(["application/json"]);
}

function parameterOf(parameters: readonly string[], name: string): string | undefined {
  return parameters.find((parameter) => parameter.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** `includeObject` of Table requests. */
export type IncludeObject = "None" | "Metadata" | "Object";

/** What {@link renderer} needs. */
export interface RenderOptions {
  readonly resource: Resource;
  readonly representation: Representation;
  readonly includeObject: IncludeObject;
  readonly now: () => Date;
}

/** Shows one object in a representation. In a watch only the first Table carries the column definitions. */
export function renderer(options: RenderOptions): (object: JsonObject) => JsonValue {
  let hasColumns = true;
  return (object) => {
    switch (options.representation) {
      case "object":
        return object;
      case "metadata":
        return partialMetadata(object);
      case "table": {
        const resourceVersion = metadataOf(object)["resourceVersion"] ?? "";
        const table = tableOf([object], options, { resourceVersion }, hasColumns);
        hasColumns = false;
        return table;
      }
    }
  };
}

/** Shows a list in a representation. @param metadata ListMeta */
export function renderList(
  items: readonly JsonObject[],
  metadata: JsonObject,
  options: RenderOptions,
): JsonObject {
  const { resource, representation } = options;
  switch (representation) {
    case "table":
      return tableOf(items, options, metadata, true);
    case "metadata":
      return {
        kind: "PartialObjectMetadataList",
        apiVersion: "meta.k8s.io/v1",
        metadata,
        items: items.map(partialMetadata),
      };
    case "object":
      return {
        apiVersion: apiVersionOf(resource),
        items: resource.isCustom ? [...items] : items.map(withoutType),
        kind: resource.listKind,
        // kube-apiserver writes a list of custom resources from a Go map, which keeps an empty token.
        metadata: resource.isCustom ? { continue: "", ...metadata } : metadata,
      };
  }
}

/** The item without apiVersion and kind: lists of built-in kinds leave them out, since the list's own kind tells them. */
function withoutType({ apiVersion: _version, kind: _kind, ...item }: JsonObject): JsonObject {
  return item;
}

function partialMetadata(object: JsonObject): JsonObject {
  return { kind: "PartialObjectMetadata", apiVersion: "meta.k8s.io/v1", metadata: metadataOf(object) };
}

function tableOf(
  items: readonly JsonObject[],
  { resource, includeObject, now }: RenderOptions,
  metadata: JsonObject,
  hasColumns: boolean,
): JsonObject {
  const time = now();
  const columnDefinitions = resource.table.columns.map((column) => ({
    name: column.name,
    type: column.type,
    format: column.format ?? "",
    description: column.description ?? "",
    priority: column.priority ?? 0,
  }));
  const rows = items.map((object): JsonObject => {
    const cells = resource.table.cells(object, time);
    switch (includeObject) {
      case "None":
        return { cells };
      case "Metadata":
        return { cells, object: partialMetadata(object) };
      case "Object":
        return { cells, object };
    }
  });
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata,
    columnDefinitions: hasColumns ? columnDefinitions : null,
    rows,
  };
}
