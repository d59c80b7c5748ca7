import { SatelliteError } from "../base/errors.ts";
import type { ObjectKey, ResourceType } from "./objects.ts";

/** Values of a query string; `undefined` leaves a parameter out. */
export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * One segment of a path. Names come from callers of the router too, so a name that could lead out of the segment is
 * refused, as Kubernetes does (apimachinery, `IsValidPathSegmentName`).
 *
 * @throws SatelliteError `InvalidName`
 */
function segment(name: string): string {
  if (name === "" || name === "." || name === ".." || /[/%]/.test(name)) {
    throw new SatelliteError(
      "InvalidName",
      `${JSON.stringify(name)} cannot be the name of a Kubernetes object`,
    );
  }
  return encodeURIComponent(name);
}

/**
 * Path of a collection (Kubernetes API concepts, "Resource URIs").
 *
 * @param namespace absent: all namespaces, or the one collection of a cluster-scoped type
 * @throws SatelliteError `InvalidName`
 */
export function collectionPath(type: ResourceType, namespace?: string): string {
  const root =
    type.group === "" ? `/api/${type.version}` : `/apis/${segment(type.group)}/${segment(type.version)}`;
  const scope = type.namespaced && namespace !== undefined ? `/namespaces/${segment(namespace)}` : "";
  return `${root}${scope}/${type.plural}`;
}

/**
 * Path of one object.
 *
 * @throws SatelliteError `InvalidName`, also when a namespaced type is named without its namespace
 */
export function objectPath(type: ResourceType, key: ObjectKey): string {
  if (type.namespaced && key.namespace === undefined) {
    throw new SatelliteError("InvalidName", `${type.kind} "${key.name}" needs a namespace`);
  }
  return `${collectionPath(type, key.namespace)}/${segment(key.name)}`;
}

/** Appends the parameters that are set. */
export function withQuery(path: string, query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) {
      parameters.set(name, String(value));
    }
  }
  const text = parameters.toString();
  return text === "" ? path : `${path}?${text}`;
}
