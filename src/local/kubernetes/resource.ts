import type { RuleSet } from "./cel-rules.ts";
import type { FieldError } from "./field-error.ts";
import type { JsonObject, JsonValue } from "./json.ts";
import type { NameRule } from "./names.ts";
import type { SelectableFields } from "./selectors.ts";
import type { StructuralSchema } from "./structural-schema.ts";

/** What can be done with a resource; the names that discovery and authorization use. */
export type Verb = "create" | "delete" | "deletecollection" | "get" | "list" | "patch" | "update" | "watch";

/** A column of the Table that `kubectl get` shows. */
export interface Column {
  readonly name: string;
  /** OpenAPI type of the cells; `date` cells of CRDs are shown as an age. */
  readonly type: string;
  readonly format?: string;
  readonly description?: string;
  /** 0: always shown; above: with `-o wide`. */
  readonly priority?: number;
}

/** How objects of a resource become rows. */
export interface TableLayout {
  readonly columns: readonly Column[];
  /** The cells of one row. */
  readonly cells: (object: JsonObject, now: Date) => JsonValue[];
}

/** One kind of objects under one API version, as clients see it. */
export interface Resource {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  readonly verbs: readonly Verb[];
  /** Collection of the store that holds its objects; versions of one kind share it. */
  readonly collection: string;
  /** Schema of the whole object. */
  readonly schema: StructuralSchema;
  /** Whether it comes from a CRD. Built-in kinds are decoded strictly by type, as Go types are. */
  readonly isCustom: boolean;
  /** Whether status is written through a subresource of its own. */
  readonly hasStatus: boolean;
  /** Whether `metadata.generation` is kept. */
  readonly hasGeneration: boolean;
  /** Whether a PUT without resourceVersion replaces whatever is there. */
  readonly allowsUnconditionalUpdate: boolean;
  /** Whether a PUT of an object that does not exist creates it. */
  readonly allowsCreateOnUpdate: boolean;
  readonly nameRule: NameRule;
  /** CEL rules. */
  readonly rules: RuleSet | undefined;
  readonly selectableFields: SelectableFields;
  readonly table: TableLayout;
  /** Changes an object in place before validation: sets derived fields, removes what clients may not set. */
  readonly prepare?: (object: JsonObject, old: JsonObject | undefined) => void;
  /** Group that validation errors name, where it is not the resource's own. */
  readonly errorGroup?: string;
  /** Checks beyond the schema. */
  readonly validate?: (object: JsonObject, old: JsonObject | undefined) => FieldError[];
  /** Converts from the stored form to this version; must not change its input. */
  readonly fromStorage: (object: JsonObject) => JsonObject;
  /** Converts from this version to the stored form; must not change its input. */
  readonly toStorage: (object: JsonObject) => JsonObject;
}

/** `group/version`, or `version` in the core group. */
export function apiVersionOf({ group, version }: Pick<Resource, "group" | "version">): string {
  return group === "" ? version : `${group}/${version}`;
}

/** For error messages and Status details. */
export function groupResource(resource: Resource): { readonly group: string; readonly resource: string } {
  return { group: resource.group, resource: resource.plural };
}

/** Key of an object within its collection. */
export function storageKey(namespace: string, name: string): string {
  return namespace === "" ? name : `${namespace}/${name}`;
}
