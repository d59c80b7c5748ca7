import { SatelliteError } from "./errors.ts";
import { isLabelValue, isQualifiedName } from "./names.ts";

/** Labels of an object; values that are no text match nothing. */
export type Labels = Readonly<Record<string, unknown>>;

/** Decides whether labels are selected. */
export type LabelSelector = (labels: Labels) => boolean;

// A set of values in parentheses counts as one token; the rest is split at commas.
const REQUIREMENT = /[^,(]*(?:\([^)]*\))?[^,(]*/y;

/**
 * Reads a label selector (Kubernetes documentation, "Labels and Selectors"): `a=b`, `a!=b`, `a in (b,c)`,
 * `a notin (b)`, `a`, `!a`, `a>1`, `a<1`, joined by commas. An empty one selects everything.
 *
 * @throws SatelliteError `InvalidLabelSelector` when it cannot be read
 */
export function parseLabelSelector(text: string): LabelSelector {
  const requirements = splitRequirements(text).map(parseRequirement);
  return (labels) => requirements.every((requirement) => requirement(labels));
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

function parseRequirement(text: string): LabelSelector {
  const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(text);
  if (set !== null) {
    const [, key = "", operator = "", list = ""] = set;
    const values = new Set<unknown>(list.split(",").map((value) => checkedValue(value.trim(), text)));
    const isWanted = operator === "in";
    checkKey(key, text);
    return (labels) => (Object.hasOwn(labels, key) ? values.has(labels[key]) === isWanted : !isWanted);
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

function compare(key: string, operator: string, value: string, text: string): LabelSelector {
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
  return new SatelliteError("InvalidLabelSelector", `${JSON.stringify(text)} is not a label selector`);
}
