import { Ec2ApiError } from "./api-error.ts";
import type { QueryParameters } from "./query-parameters.ts";

/** One `Filter.N`: the thing matches when any of the values does. */
export interface Filter {
  readonly name: string;
  readonly values: readonly string[];
}

/** Values of a thing under one filter name; undefined for a name that the action does not know. */
export type FilterValues = (name: string) => readonly string[] | undefined;

/** @throws Ec2ApiError for more than the 200 values in all that EC2 takes */
export function readFilters(parameters: QueryParameters): Filter[] {
  const filters = parameters
    .structures("Filter")
    .map((filter) => ({ name: filter.requiredString("Name"), values: filter.strings("Value") }));
  if (filters.reduce((sum, { values }) => sum + values.length, 0) > 200) {
    throw new Ec2ApiError("FilterLimitExceeded", "The maximum number of filter values, 200, was exceeded");
  }
  return filters;
}

/**
 * Those of `things` that match every filter. `*` and `?` are wildcards, `\` escapes them
 * (EC2 user guide, "Filter resources").
 *
 * @param valuesOf the values of one thing under a name; values are compared case-sensitively
 * @throws Ec2ApiError `InvalidParameterValue` for a filter that the action does not know
 */
export function applyFilters<T>(
  things: readonly T[],
  filters: readonly Filter[],
  known: (name: string) => boolean,
  valuesOf: (thing: T) => FilterValues,
): T[] {
  for (const { name } of filters) {
    if (!known(name)) {
      throw new Ec2ApiError("InvalidParameterValue", `The filter '${name}' is invalid`);
    }
  }
  const patterns = filters.map(({ name, values }) => ({ name, values: values.map(toPattern) }));
  return things.filter((thing) => {
    const valuesUnder = valuesOf(thing);
    return patterns.every(({ name, values }) =>
      valuesUnder(name)?.some((value) => values.some((pattern) => pattern.test(value))),
    );
  });
}

function toPattern(value: string): RegExp {
  const source = value.replace(/\\[*?\\]|[*?]|[^\w]/g, (token) => {
    if (token === "*") {
      return ".*";
    }
    if (token === "?") {
      return ".";
    }
    return `\\u{${(token.at(-1) ?? "").codePointAt(0)?.toString(16)}}`;
  });
  return new RegExp(`^${source}$`, "su");
}

/** Whether `name` is `tag-key` or `tag:…`. */
export function isTagFilter(name: string): boolean {
  return name === "tag-key" || name.startsWith("tag:");
}

/** Values of `tags` under a filter for which {@link isTagFilter} holds. */
export function tagFilterValues(tags: Readonly<Record<string, string>>, name: string): string[] {
  if (name === "tag-key") {
    return Object.keys(tags);
  }
  const value = tags[name.slice("tag:".length)];
  return value === undefined ? [] : [value];
}
