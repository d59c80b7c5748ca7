import {
  CelScalar,
  celFunc,
  celList,
  celMethod,
  isCelList,
  listType,
  type CelFunc,
  type CelInput,
  type CelList,
  type CelValue,
} from "@bufbuild/cel";
import { strings } from "@bufbuild/cel/ext";

const { BOOL, DYN, INT, STRING } = CelScalar;
const LIST = listType(DYN);

type Comparable = string | bigint | number;

function comparables(list: CelList): Comparable[] {
  return [...list].map((item) => {
    if (typeof item === "string" || typeof item === "bigint" || typeof item === "number") {
      return item;
    }
    throw new Error("no such overload: the items of the list cannot be compared");
  });
}

function extreme(list: CelList, wins: (left: Comparable, right: Comparable) => boolean): Comparable {
  const [first, ...rest] = comparables(list);
  if (first === undefined) {
    throw new Error("min and max need a list that is not empty");
  }
  return rest.reduce((best, item) => (wins(item, best) ? item : best), first);
}

function same(left: CelValue, right: CelValue): boolean {
  return left === right || (isCelList(left) && isCelList(right) && equalLists(left, right));
}

function equalLists(left: CelList, right: CelList): boolean {
  return left.size === right.size && [...left].every((item, index) => same(item, right.get(index) ?? null));
}

function contains(list: CelList, wanted: Iterable<CelValue>): boolean {
  const items = [...list];
  return [...wanted].every((item) => items.some((candidate) => same(candidate, item)));
}

/** Kubernetes list library (CEL in Kubernetes, "Kubernetes list library"). */
const lists: CelFunc[] = [
  celMethod("isSorted", LIST, [], BOOL, function () {
    const items = comparables(this);
    return items.every((item, index) => index === 0 || (items[index - 1] ?? item) <= item);
  }),
  celMethod("sum", LIST, [], DYN, function (): CelInput {
    const items = [...this];
    if (items.every((item) => typeof item === "bigint")) {
      return items.reduce((total, item) => total + item, 0n);
    }
    return items.reduce<number>((total, item) => total + Number(item), 0);
  }),
  celMethod("min", LIST, [], DYN, function (): CelInput {
    return extreme(this, (left, right) => left < right);
  }),
  celMethod("max", LIST, [], DYN, function (): CelInput {
    return extreme(this, (left, right) => left > right);
  }),
  celMethod("indexOf", LIST, [DYN], INT, function (wanted) {
    return BigInt([...this].findIndex((item) => same(item, wanted)));
  }),
  celMethod("lastIndexOf", LIST, [DYN], INT, function (wanted) {
    return BigInt([...this].findLastIndex((item) => same(item, wanted)));
  }),
];

/** Kubernetes regex library. */
const regex: CelFunc[] = [
  celMethod("find", STRING, [STRING], STRING, function (pattern) {
    return new RegExp(pattern, "u").exec(this)?.[0] ?? "";
  }),
  celMethod("findAll", STRING, [STRING], LIST, function (pattern) {
    return celList([...this.matchAll(new RegExp(pattern, "gu"))].map(([match]) => match));
  }),
];

/** CEL sets library. */
const sets: CelFunc[] = [
  celFunc("sets.contains", [LIST, LIST], BOOL, (list, sub) => contains(list, sub)),
  celFunc(
    "sets.equivalent",
    [LIST, LIST],
    BOOL,
    (left, right) => contains(left, right) && contains(right, left),
  ),
  celFunc("sets.intersects", [LIST, LIST], BOOL, (left, right) =>
    [...right].some((item) => contains(left, [item])),
  ),
];

/**
 * The optional `oldSelf` of rules with `optionalOldSelf: true`, as a list of no or one element: the
 * evaluator has no optional type.
 */
const optionals: CelFunc[] = [
  celMethod("hasValue", LIST, [], BOOL, function () {
    return this.size > 0;
  }),
  celMethod("value", LIST, [], DYN, function (): CelInput {
    const value = this.get(0);
    if (value === undefined) {
      throw new Error("optional.none() dereference");
    }
    return value;
  }),
  celMethod("orValue", LIST, [DYN], DYN, function (fallback): CelInput {
    return this.get(0) ?? fallback;
  }),
];

/** Functions that CRD rules may call, beside CEL's standard library. */
export const KUBERNETES_FUNCTIONS: CelFunc[] = [...strings, ...lists, ...regex, ...sets, ...optionals];
