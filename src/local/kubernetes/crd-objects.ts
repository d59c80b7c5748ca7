import type { ApiContext } from "./api-context.ts";
import { CRDS } from "./builtin-resources.ts";
import { randomUid } from "./identifiers.ts";
import { asObject, asString, equalJson, type JsonObject, type JsonValue } from "./json.ts";
import { formatTime, metadataOf, nameOf } from "./object-meta.ts";
import { storageKey } from "./resource.ts";

/**
 * Puts the CRDs that are served into the store, so that clients find them, and removes those that are no longer
 * served. A CRD keeps its UID; a changed one gets a new generation.
 */
export function storeCrds(context: ApiContext, crds: readonly JsonObject[]): void {
  const { store } = context;
  const served = new Set(crds.map(nameOf));
  for (const object of store.list(CRDS)) {
    if (!served.has(nameOf(object))) {
      store.remove(CRDS, storageKey("", nameOf(object)));
    }
  }
  for (const crd of crds) {
    storeCrd(context, crd);
  }
}

function storeCrd({ store, clock, random }: ApiContext, crd: JsonObject): void {
  const name = nameOf(crd);
  const old = store.get(CRDS, name)?.object;
  const oldMetadata = old === undefined ? {} : metadataOf(old);
  const spec = { conversion: { strategy: "None" }, ...asObject(crd["spec"]) };
  const isChanged = old !== undefined && !equalJson(old["spec"], spec);
  const now = formatTime(clock.now());
  const object: JsonObject = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      ...metadataOf(crd),
      uid: oldMetadata["uid"] ?? randomUid(random),
      creationTimestamp: oldMetadata["creationTimestamp"] ?? now,
      generation: Number(oldMetadata["generation"] ?? 1) + (isChanged ? 1 : 0),
    },
    spec,
    status: old === undefined || isChanged ? statusOf(spec, now) : (old["status"] ?? {}),
  };
  if (old === undefined) {
    store.create(CRDS, name, object);
  } else {
    store.update(CRDS, name, object);
  }
}

function statusOf(spec: JsonObject, now: string): JsonObject {
  const condition = (type: string, reason: string, message: string): JsonObject => ({
    lastTransitionTime: now,
    message,
    reason,
    status: "True",
    type,
  });
  const versions = Array.isArray(spec["versions"]) ? spec["versions"].map((item) => asObject(item)) : [];
  const stored: JsonValue[] = versions
    .filter((version) => version["storage"] === true)
    .map((version) => asString(version["name"]));
  return {
    acceptedNames: spec["names"] ?? {},
    conditions: [
      condition("NamesAccepted", "NoConflicts", "no conflicts found"),
      condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ],
    storedVersions: stored,
  };
}
