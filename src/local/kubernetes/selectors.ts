import { toError } from "../../base/errors.ts";
import { parseLabelSelector as parseLabels, type LabelSelector } from "../../base/label-selector.ts";
import { badRequest } from "./api-error.ts";
import { asObject, valueAt, type JsonObject } from "./json.ts";

/** Decides whether an object is selected. */
export type Predicate = (object: JsonObject) => boolean;

/** Selects everything. */
export const everything: Predicate = () => true;

/**
 * Reads a label selector.
 *
 * @throws ApiError 400 when it cannot be read
 */
export function parseLabelSelector(text: string): Predicate {
  let selects: LabelSelector;
  try {
    selects = parseLabels(text);
  } catch (error) {
    throw badRequest(`unable to parse requirement: ${toError(error).message}`);
  }
  return (object) => selects(asObject(valueAt(object, "metadata", "labels")));
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
