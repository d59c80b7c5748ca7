import type { JsonObject, JsonValue } from "./json.ts";
import { apiVersionOf, type Resource, type Verb } from "./resource.ts";

/** A resource that clients only create and that is not stored, like TokenReview. */
export interface VirtualResource {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
}

/** What discovery describes. */
export interface Catalog {
  readonly resources: readonly Resource[];
  readonly virtual: readonly VirtualResource[];
}

/** An entry of an APIResourceList before it is written in one of the two formats. */
interface Entry {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly verbs: readonly Verb[];
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly hasStatus: boolean;
}

function entries({ resources, virtual }: Catalog): Entry[] {
  const posted = virtual.map((resource): Entry => ({
    ...resource,
    singular: resource.kind.toLowerCase(),
    namespaced: false,
    verbs: ["create"],
    shortNames: [],
    categories: [],
    hasStatus: false,
  }));
  return [...resources, ...posted];
}

function groupVersions(catalog: Catalog): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { group, version } of entries(catalog)) {
    const versions = groups.get(group) ?? [];
    if (!versions.includes(version)) {
      groups.set(group, [...versions, version]);
    }
  }
  return groups;
}

/** The body of /api: the versions of the core group. */
export function coreVersions(catalog: Catalog, address: string): JsonObject {
  return {
    kind: "APIVersions",
    versions: groupVersions(catalog).get("") ?? [],
    serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress: address }],
  };
}

/** The body of /apis: the named groups. */
export function groupList(catalog: Catalog): JsonObject {
  const names = [...groupVersions(catalog).keys()].filter((group) => group !== "");
  return {
    kind: "APIGroupList",
    apiVersion: "v1",
    groups: names.map((name) => groupEntry(catalog, name)),
  };
}

/** The body of /apis/GROUP, or undefined for an unknown group. */
export function groupInfo(catalog: Catalog, group: string): JsonObject | undefined {
  return group !== "" && groupVersions(catalog).has(group)
    ? { kind: "APIGroup", apiVersion: "v1", ...groupEntry(catalog, group) }
    : undefined;
}

function groupEntry(catalog: Catalog, group: string): JsonObject {
  const versions = (groupVersions(catalog).get(group) ?? []).map((version) => ({
    groupVersion: `${group}/${version}`,
    version,
  }));
  return { name: group, versions, preferredVersion: versions[0] ?? null };
}

/** The body of /api/v1 and /apis/GROUP/VERSION, or undefined for an unknown one. */
export function resourceList(catalog: Catalog, group: string, version: string): JsonObject | undefined {
  const found = entries(catalog).filter((entry) => entry.group === group && entry.version === version);
  if (found.length === 0) {
    return undefined;
  }
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: apiVersionOf({ group, version }),
    resources: found.flatMap(resourceEntries),
  };
}

function resourceEntries(entry: Entry): JsonObject[] {
  const common = { namespaced: entry.namespaced, kind: entry.kind };
  const whole = {
    name: entry.plural,
    singularName: entry.singular,
    ...common,
    verbs: [...entry.verbs],
    ...(entry.shortNames.length === 0 ? {} : { shortNames: [...entry.shortNames] }),
    ...(entry.categories.length === 0 ? {} : { categories: [...entry.categories] }),
  };
  const status = {
    name: `${entry.plural}/status`,
    singularName: "",
    ...common,
    verbs: ["get", "patch", "update"],
  };
  return entry.hasStatus ? [whole, status] : [whole];
}

/**
 * The body of /api and /apis in the aggregated format (KEP-3352): everything in one answer.
 *
 * @param isCore the core group, or all others
 */
export function aggregated(catalog: Catalog, isCore: boolean): JsonObject {
  const groups = [...groupVersions(catalog)].filter(([group]) => (group === "") === isCore);
  return {
    kind: "APIGroupDiscoveryList",
    apiVersion: "apidiscovery.k8s.io/v2",
    metadata: {},
    items: groups.map(([group, versions]): JsonObject => ({
      metadata: { ...(group === "" ? {} : { name: group }), creationTimestamp: null },
      versions: versions.map((version): JsonObject => ({
        version,
        freshness: "Current",
        resources: entries(catalog)
          .filter((entry) => entry.group === group && entry.version === version)
          .map(aggregatedEntry),
      })),
    })),
  };
}

function aggregatedEntry(entry: Entry): JsonValue {
  const responseKind = { group: entry.group, version: entry.version, kind: entry.kind };
  const verbs = [...entry.verbs];
  return {
    resource: entry.plural,
    responseKind,
    scope: entry.namespaced ? "Namespaced" : "Cluster",
    singularResource: entry.singular,
    verbs,
    ...(entry.shortNames.length === 0 ? {} : { shortNames: [...entry.shortNames] }),
    ...(entry.categories.length === 0 ? {} : { categories: [...entry.categories] }),
    ...(entry.hasStatus
      ? { subresources: [{ subresource: "status", responseKind, verbs: ["get", "patch", "update"] }] }
      : {}),
  };
}
