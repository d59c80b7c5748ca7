import { set, type PatchOperation } from "./json-patch.ts";
import { powerTests } from "./power.ts";
import type { SatelliteStatus } from "./resource.ts";
import type { Satellite } from "./types.ts";

/** The status fields that the operator writes; `activity` belongs to the routers. */
export const OPERATOR_FIELDS = [
  "phase",
  "observedGeneration",
  "power",
  "machine",
  "endpoint",
  "sleep",
  "launch",
  "attempts",
  "volume",
  "replacement",
  "retired",
  "usage",
  "health",
  "recoveries",
  "unready",
  "conditions",
] as const satisfies readonly (keyof SatelliteStatus)[];

/** Status as the operator wants it; `undefined` removes a field. */
export type OperatorStatus = {
  readonly [Field in (typeof OPERATOR_FIELDS)[number]]?: SatelliteStatus[Field] | undefined;
} & { readonly power: SatelliteStatus["power"] };

/**
 * The patch from the satellite's status to `wanted`, with the power protocol's tests in front; `undefined` when
 * nothing differs. It touches the operator's own fields only, each as a whole.
 */
export function statusPatch(satellite: Satellite, wanted: OperatorStatus): PatchOperation[] | undefined {
  const changes: PatchOperation[] = [];
  for (const field of OPERATOR_FIELDS) {
    const before = satellite.status[field];
    const after = wanted[field];
    if (after === undefined) {
      if (before !== undefined) {
        changes.push({ op: "remove", path: `/status/${field}` });
      }
    } else if (!sameJson(before, after)) {
      changes.push(set(`/status/${field}`, after));
    }
  }
  return changes.length === 0 ? undefined : [...powerTests(satellite, wanted.power), ...changes];
}

/** Whether two JSON values are equal, members in any order; an absent member equals an undefined one. */
export function sameJson(left: unknown, right: unknown): boolean {
  if (left === right) {
    return true;
  }
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) {
    return false;
  }
  if (Array.isArray(left) !== Array.isArray(right)) {
    return false;
  }
  const a = left as Readonly<Record<string, unknown>>;
  const b = right as Readonly<Record<string, unknown>>;
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].every((key) => sameJson(a[key], b[key]));
}
