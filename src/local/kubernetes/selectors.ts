import { badRequest } from "./api-error.ts";
import { asObject, asString, valueAt, type JsonObject } from "./json.ts";
import { isLabelValue, isQualifiedName } from "./names.ts";

/** Decides whether an object is selected. */
export type Predicate = (object: JsonObject) => boolean;

/** Selects everything. */
export const everything: Predicate = () => true;

type Labels = Readonly<Record<string, unknown>>;
type Requirement = (labels: Labels) => boolean;

// A set of values in parentheses counts as one token; the rest is split at commas.
const REQUIREMENT = /[^,(]*(?:\([^)]*\))?[^,(]*/y;

/**
 * Reads a label selector (Kubernetes documentation, "Labels and Selectors"): `a=b`, `a!=b`, `a in (b,c)`,
 * `a notin (b)`, `a`, `!a`, `a>1`, `a<1`, joined by commas.
 *
 * @throws ApiError 400 when it cannot be read
 */
export function parseLabelSelector(text: string): Predicate {
  const requirements = splitRequirements(text).map(parseRequirement);
  return (object) => {
    const labels = asObject(valueAt(object, "metadata", "labels"));
    return requirements.every((requirement) => requirement(labels));
  };
}

function splitRequirements(text: string): string[] {
  const parts: string[] = [];
  REQUIREMENT.lastIndex = 0;
  while (REQUIREMENT.lastIndex <= text.length) {
    const start = REQUIREMENT.lastIndex;
    const part = REQUIREMENT.exec(text)?.[0] ?? "";
    const end = start + part.length;
    if (end < text.length && text[end] !== ",") {
      throw unparsable(text);
    }
    if (part.trim() !== "") {
      parts.push(part.trim());
    } else if (text.trim() !== "") {
      throw unparsable(text);
    }
    REQUIREMENT.lastIndex = end + 1;
  }
  return parts;
}

function parseRequirement(text: string): Requirement {
  const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(text);
  if (set !== null) {
    const [, key = "", operator = "", list = ""] = set;
    const values = new Set(list.split(",").map((value) => checkedValue(value.trim(), text)));
    const isWanted = operator === "in";
    checkKey(key, text);
    return (labels) =>
      Object.hasOwn(labels, key) ? values.has(asString(labels[key] as string)) === isWanted : !isWanted;
  }
  const comparison = /^([^\s=!<>]+)\s*(==|=|!=|<|>)\s*([^\s=!<>]*)$/.exec(text);
  if (comparison !== null) {
    const [, key = "", operator = "", value = ""] = comparison;
    checkKey(key, text);
    return compare(key, operator, checkedValue(value, text), text);
  }
  const presence = /^(!?)\s*([^\s=!<>()]+)$/.exec(text);
  if (presence !== null) {
    const [, negation, key = ""] = presence;
    checkKey(key, text);
    return (labels) => Object.hasOwn(labels, key) === (negation === "");
  }
  throw unparsable(text);
}

function compare(key: string, operator: string, value: string, text: string): Requirement {
  switch (operator) {
    case "!=":
      return (labels) => !Object.hasOwn(labels, key) || labels[key] !== value;
    case "<":
    case ">": {
      if (!/^-?\d+$/.test(value)) {
        throw unparsable(text);
      }
      const bound = Number(value);
      return (labels) => {
        const label = Object.hasOwn(labels, key) ? Number(labels[key]) : Number.NaN;
        return operator === "<" ? label < bound : label > bound;
      };
    }
    default:
      return (labels) => Object.hasOwn(labels, key) && labels[key] === value;
  }
}

function checkKey(key: string, text: string): void {
  if (!isQualifiedName(key)) {
    throw unparsable(text);
  }
}

function checkedValue(value: string, text: string): string {
  if (!isLabelValue(value)) {
    throw unparsable(text);
  }
  return value;
}

function unparsable(text: string): Error {
  return badRequest(`unable to parse requirement: ${JSON.stringify(text)} is not a label selector`);
}

/** The value of each field that a resource can be selected by. */
export type SelectableFields = (object: JsonObject) => Readonly<Record<string, string>>;

/** One term of a field selector. */
interface FieldTerm {
  readonly field: string;
  readonly isEqual: boolean;
  readonly value: string;
}

/**
 * Reads a field selector: `field=value`, `field==value`, `field!=value`, joined by commas; `\` escapes.
 *
 * @param selectable the fields of the resource, all present even when empty
 * @throws ApiError 400 when it cannot be read or names a field that cannot be selected by
 */
export function parseFieldSelector(text: string, selectable: SelectableFields): Predicate {
  const terms = text
    .split(/(?<!\\),/)
    .filter((term) => term !== "")
    .map(parseFieldTerm);
  const known = selectable({});
  for (const { field } of terms) {
    if (!Object.hasOwn(known, field)) {
      throw badRequest(`field label not supported: ${field}`);
    }
  }
  return (object) => {
    const fields = selectable(object);
    return terms.every(({ field, isEqual, value }) => (fields[field] === value) === isEqual);
  };
}

function parseFieldTerm(term: string): FieldTerm {
  const match = /^(.*?)(!=|==|=)(.*)$/s.exec(term);
  if (match === null) {
    throw badRequest(`invalid field selector: ${JSON.stringify(term)}; can't understand it`);
  }
  const [, field = "", operator, value = ""] = match;
  return { field, isEqual: operator !== "!=", value: value.replace(/\\([\\,=])/g, "$1") };
}
