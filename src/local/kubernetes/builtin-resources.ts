import * as schemas from "./builtin-schemas.ts";
import { ALL_VERBS } from "./crd.ts";
import { fromCoreV1, fromEventsV1, toCoreV1, toEventsV1 } from "./event-conversion.ts";
import { coreEventFields, eventsV1Fields } from "./event-fields.ts";
import { validateCoreEvent, validateEventsV1 } from "./event-validation.ts";
import { forbidden, invalid, required, type FieldError } from "./field-error.ts";
import { asObject, asString, equalJson, valueAt, type JsonObject } from "./json.ts";
import { nameOf, namespaceOf } from "./object-meta.ts";
import type { Resource } from "./resource.ts";
import * as layouts from "./table-layouts.ts";

/** Collection of the namespaces. */
export const NAMESPACES = "/namespaces";
/** Collection of the CustomResourceDefinitions. */
export const CRDS = "apiextensions.k8s.io/customresourcedefinitions";

type Description = Pick<Resource, "kind" | "plural" | "schema" | "table"> & Partial<Resource>;

function builtin(description: Description): Resource {
  const { kind, plural } = description;
  const group = description.group ?? "";
  const namespaced = description.namespaced ?? true;
  return {
    group,
    version: "v1",
    listKind: `${kind}List`,
    singular: kind.toLowerCase(),
    shortNames: [],
    categories: [],
    namespaced,
    verbs: ALL_VERBS,
    collection: `${group}/${plural}`,
    isCustom: false,
    hasStatus: false,
    hasGeneration: false,
    allowsUnconditionalUpdate: true,
    allowsCreateOnUpdate: false,
    nameRule: "dns-subdomain",
    rules: undefined,
    selectableFields: (object) => metadataFields(object, namespaced),
    fromStorage: (object) => object,
    toStorage: (object) => object,
    ...description,
  };
}

function metadataFields(object: JsonObject, namespaced: boolean): Record<string, string> {
  return {
    "metadata.name": nameOf(object),
    ...(namespaced ? { "metadata.namespace": namespaceOf(object) } : {}),
  };
}

const namespaces = builtin({
  kind: "Namespace",
  plural: "namespaces",
  shortNames: ["ns"],
  namespaced: false,
  collection: NAMESPACES,
  schema: schemas.namespaceSchema,
  table: layouts.namespaceLayout,
  nameRule: "dns-label",
  hasStatus: true,
  // As on the real server: namespaces are deleted one by one.
  verbs: ALL_VERBS.filter((verb) => verb !== "deletecollection"),
  selectableFields: (object) => ({
    ...metadataFields(object, false),
    name: nameOf(object),
    "status.phase": asString(valueAt(object, "status", "phase")),
  }),
  prepare: prepareNamespace,
});

const NAMESPACE_LABEL = "kubernetes.io/metadata.name";

function prepareNamespace(namespace: JsonObject, old: JsonObject | undefined): void {
  const metadata = asObject(namespace["metadata"]);
  metadata["labels"] = { ...asObject(metadata["labels"]), [NAMESPACE_LABEL]: nameOf(namespace) };
  if (old === undefined) {
    namespace["spec"] = { finalizers: ["kubernetes"] };
    namespace["status"] = { phase: "Active" };
  } else if (old["spec"] !== undefined) {
    namespace["spec"] = old["spec"];
  }
}

const SECRET_TYPES: Readonly<Record<string, readonly string[]>> = {
  "kubernetes.io/tls": ["tls.crt", "tls.key"],
  "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
  "kubernetes.io/dockercfg": [".dockercfg"],
  "kubernetes.io/ssh-auth": ["ssh-privatekey"],
};
const DATA_KEY = /^[-._a-zA-Z0-9]{1,253}$/;

const secrets = builtin({
  kind: "Secret",
  plural: "secrets",
  schema: schemas.secretSchema,
  table: layouts.secretLayout,
  selectableFields: (object) => ({ ...metadataFields(object, true), type: asString(object["type"]) }),
  prepare: prepareSecret,
  validate: validateSecret,
});

/** `stringData` is for writing only: it becomes data. */
function prepareSecret(secret: JsonObject): void {
  const { stringData, ...rest } = secret;
  if (stringData !== undefined) {
    const encoded = Object.entries(asObject(stringData)).map(
      ([key, text]) => [key, Buffer.from(asString(text), "utf8").toString("base64")] as const,
    );
    secret["data"] = { ...asObject(rest["data"]), ...Object.fromEntries(encoded) };
    delete secret["stringData"];
  }
  if (asString(secret["type"]) === "") {
    secret["type"] = "Opaque";
  }
}

function validateSecret(secret: JsonObject, old: JsonObject | undefined): FieldError[] {
  const data = asObject(secret["data"]);
  const type = asString(secret["type"]);
  const errors = validateDataKeys(data, "data");
  for (const key of SECRET_TYPES[type] ?? []) {
    if (!Object.hasOwn(data, key)) {
      errors.push(required(`data[${key}]`));
    }
  }
  if (old !== undefined && type !== asString(old["type"])) {
    errors.push(invalid("type", type, "field is immutable"));
  }
  return [...errors, ...validateImmutable(secret, old, ["data"])];
}

function validateDataKeys(data: JsonObject, field: string): FieldError[] {
  return Object.keys(data)
    .filter((key) => !DATA_KEY.test(key) || key === "." || key.startsWith(".."))
    .map((key) =>
      invalid(
        `${field}[${key}]`,
        key,
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
      ),
    );
}

/** What `immutable: true` forbids. */
function validateImmutable(
  object: JsonObject,
  old: JsonObject | undefined,
  fields: readonly string[],
): FieldError[] {
  if (old?.["immutable"] !== true) {
    return [];
  }
  const changed = fields.filter((field) => !equalJson(object[field], old[field]));
  return [...(object["immutable"] === true ? [] : ["immutable"]), ...changed].map((field) =>
    forbidden(field, "field is immutable when `immutable` is set"),
  );
}

const configMaps = builtin({
  kind: "ConfigMap",
  plural: "configmaps",
  shortNames: ["cm"],
  schema: schemas.configMapSchema,
  table: layouts.configMapLayout,
  validate: (map, old) => [
    ...validateDataKeys(asObject(map["data"]), "data"),
    ...validateDataKeys(asObject(map["binaryData"]), "binaryData"),
    ...Object.keys(asObject(map["data"]))
      .filter((key) => Object.hasOwn(asObject(map["binaryData"]), key))
      .map((key) => invalid(`data[${key}]`, key, "duplicate of key present in binaryData")),
    ...validateImmutable(map, old, ["data", "binaryData"]),
  ],
});

const leases = builtin({
  group: "coordination.k8s.io",
  kind: "Lease",
  plural: "leases",
  schema: schemas.leaseSchema,
  table: layouts.leaseLayout,
  allowsUnconditionalUpdate: false,
  allowsCreateOnUpdate: true,
  validate: validateLease,
});

function validateLease(lease: JsonObject): FieldError[] {
  const { leaseDurationSeconds, leaseTransitions } = asObject(lease["spec"]);
  const errors: FieldError[] = [];
  if (typeof leaseDurationSeconds === "number" && leaseDurationSeconds <= 0) {
    errors.push(invalid("spec.leaseDurationSeconds", leaseDurationSeconds, "must be greater than 0"));
  }
  if (typeof leaseTransitions === "number" && leaseTransitions < 0) {
    errors.push(invalid("spec.leaseTransitions", leaseTransitions, "must be greater than or equal to 0"));
  }
  return errors;
}

const EVENTS = "/events";

const coreEvents = builtin({
  kind: "Event",
  plural: "events",
  shortNames: ["ev"],
  collection: EVENTS,
  schema: schemas.coreEventSchema,
  table: layouts.eventLayout,
  nameRule: "path-segment",
  allowsCreateOnUpdate: true,
  selectableFields: coreEventFields,
  validate: validateCoreEvent,
  fromStorage: toCoreV1,
  toStorage: fromCoreV1,
});

const eventsV1 = builtin({
  ...coreEvents,
  group: "events.k8s.io",
  // Both versions are one kind of the core group to the server's validation.
  errorGroup: "",
  schema: schemas.eventsEventSchema,
  table: {
    columns: layouts.eventLayout.columns,
    cells: (object, now) => layouts.eventLayout.cells(fromEventsV1(object), now),
  },
  selectableFields: (object) => eventsV1Fields(fromEventsV1(object)),
  validate: (event, old) => validateEventsV1(fromEventsV1(event), old !== undefined),
  fromStorage: toEventsV1,
  toStorage: fromEventsV1,
});

const crds = builtin({
  group: "apiextensions.k8s.io",
  kind: "CustomResourceDefinition",
  plural: "customresourcedefinitions",
  shortNames: ["crd", "crds"],
  categories: ["api-extensions"],
  namespaced: false,
  collection: CRDS,
  schema: schemas.crdSchema,
  table: layouts.crdLayout,
  hasGeneration: true,
  verbs: ["get", "list", "watch"],
});

/** The kinds that are always there. */
export const BUILTIN_RESOURCES: readonly Resource[] = [
  namespaces,
  secrets,
  configMaps,
  coreEvents,
  eventsV1,
  leases,
  crds,
];
