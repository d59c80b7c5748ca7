import { ageOf } from "./human-duration.ts";
import { asObject, asString, asStrings, valueAt, type JsonObject, type JsonValue } from "./json.ts";
import { compileJsonPath } from "./json-path.ts";
import { metadataOf, nameOf } from "./object-meta.ts";
import type { Column, TableLayout } from "./resource.ts";

const NAME: Column = {
  name: "Name",
  type: "string",
  format: "name",
  description:
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically.",
};
const AGE: Column = { name: "Age", type: "string" };

/** `additionalPrinterColumns` of a CRD. */
export interface PrinterColumn extends Column {
  readonly jsonPath: string;
}

const DEFAULT_COLUMNS: readonly PrinterColumn[] = [
  { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
];

/** The name and what the CRD asks for; name and age when it asks for nothing. */
export function customLayout(printerColumns: readonly PrinterColumn[] | undefined): TableLayout {
  const wanted = printerColumns ?? DEFAULT_COLUMNS;
  const readers = wanted.map(({ type, jsonPath }) => {
    const read = compileJsonPath(jsonPath);
    return (object: JsonObject, now: Date): JsonValue => cellOf(read(object), type, now);
  });
  return {
    columns: [NAME, ...wanted],
    cells: (object, now) => [nameOf(object), ...readers.map((read) => read(object, now))],
  };
}

/** What apiextensions' table convertor makes of a column's values: null when absent or of another type. */
function cellOf(values: readonly JsonValue[], type: string, now: Date): JsonValue {
  const [value] = values;
  if (value === undefined || value === null) {
    return null;
  }
  switch (type) {
    case "integer":
      return typeof value === "number" ? Math.trunc(value) : null;
    case "number":
      return typeof value === "number" ? value : null;
    case "boolean":
      return typeof value === "boolean" ? value : null;
    case "date":
      return typeof value === "string" ? ageOf(value, now) : null;
    default:
      return values.map((item) => (typeof item === "string" ? item : JSON.stringify(item))).join(",");
  }
}

function age(object: JsonObject, now: Date): string {
  return ageOf(asString(metadataOf(object)["creationTimestamp"]), now);
}

function countOf(...maps: (JsonValue | undefined)[]): number {
  return maps.reduce<number>((total, map) => total + Object.keys(asObject(map)).length, 0);
}

/** `kubectl get namespaces`. */
export const namespaceLayout: TableLayout = {
  columns: [NAME, { name: "Status", type: "string" }, AGE],
  cells: (object, now) => [nameOf(object), asString(valueAt(object, "status", "phase")), age(object, now)],
};

/** `kubectl get secrets`. */
export const secretLayout: TableLayout = {
  columns: [NAME, { name: "Type", type: "string" }, { name: "Data", type: "string" }, AGE],
  cells: (object, now) => [
    nameOf(object),
    asString(object["type"]),
    countOf(object["data"]),
    age(object, now),
  ],
};

/** `kubectl get configmaps`. */
export const configMapLayout: TableLayout = {
  columns: [NAME, { name: "Data", type: "string" }, AGE],
  cells: (object, now) => [nameOf(object), countOf(object["data"], object["binaryData"]), age(object, now)],
};

/** `kubectl get leases`. */
export const leaseLayout: TableLayout = {
  columns: [NAME, { name: "Holder", type: "string" }, AGE],
  cells: (object, now) => [
    nameOf(object),
    asString(valueAt(object, "spec", "holderIdentity")),
    age(object, now),
  ],
};

/** `kubectl get customresourcedefinitions`. */
export const crdLayout: TableLayout = {
  columns: [
    NAME,
    { name: "Scope", type: "string" },
    { name: "Versions", type: "string" },
    { name: "Created At", type: "date" },
    { name: "Group", type: "string", priority: 1 },
    { name: "Kind", type: "string", priority: 1 },
    { name: "ShortNames", type: "string", priority: 1 },
    { name: "Established", type: "boolean", priority: 1 },
  ],
  cells: (object) => {
    const spec = asObject(object["spec"]);
    const names = asObject(spec["names"]);
    const versions = Array.isArray(spec["versions"]) ? spec["versions"].map((item) => asObject(item)) : [];
    const served = versions.filter((version) => version["served"] === true);
    return [
      nameOf(object),
      asString(spec["scope"]),
      served.map((version) => asString(version["name"])).join(","),
      asString(metadataOf(object)["creationTimestamp"]),
      asString(spec["group"]),
      asString(names["kind"]),
      asStrings(names["shortNames"]).join(","),
      true,
    ];
  },
};

/** `kubectl get events`. */
export const eventLayout: TableLayout = {
  columns: [
    { name: "Last Seen", type: "string" },
    { name: "Type", type: "string" },
    { name: "Reason", type: "string" },
    { name: "Object", type: "string" },
    { name: "Subobject", type: "string", priority: 1 },
    { name: "Source", type: "string", priority: 1 },
    { name: "Message", type: "string" },
    { name: "First Seen", type: "string", priority: 1 },
    { name: "Count", type: "string", priority: 1 },
    { ...NAME, priority: 1 },
  ],
  cells: eventCells,
};

/** @param event in the form of core/v1 */
function eventCells(event: JsonObject, now: Date): JsonValue[] {
  const text = (...path: string[]): string => asString(valueAt(event, ...path));
  const first = ageOf(text("firstTimestamp") || text("eventTime"), now);
  const last = text("series", "lastObservedTime") || text("lastTimestamp");
  const kind = text("involvedObject", "kind").toLowerCase();
  const name = text("involvedObject", "name");
  const component = text("reportingComponent") || text("source", "component");
  const instance = text("reportingInstance") || text("source", "host");
  const seriesCount = valueAt(event, "series", "count");
  return [
    last === "" ? first : ageOf(last, now),
    text("type"),
    text("reason"),
    name === "" ? kind : `${kind}/${name}`,
    text("involvedObject", "fieldPath"),
    instance === "" ? component : `${component}, ${instance}`,
    text("message").trim(),
    first,
    Number(seriesCount ?? event["count"] ?? 1) || 1,
    nameOf(event),
  ];
}
