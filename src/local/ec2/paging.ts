import { Ec2ApiError } from "./api-error.ts";
import type { QueryParameters } from "./query-parameters.ts";

/** Which part of a list a request wants. */
export interface PageRequest {
  readonly maxResults: number | undefined;
  /** Identifier of the last thing of the page before. */
  readonly after: string | undefined;
}

/** Reads `MaxResults` (5 to `limit`) and `NextToken`. */
export function readPage(parameters: QueryParameters, limit = 1000): PageRequest {
  const maxResults = parameters.integer("MaxResults", 5, limit);
  const token = parameters.string("NextToken");
  return { maxResults, after: token === undefined ? undefined : decodeToken(token) };
}

/** Whether the request asks for pages at all. */
export function isPaged(page: PageRequest): boolean {
  return page.maxResults !== undefined || page.after !== undefined;
}

/**
 * Takes one page out of `things`, whose order is stable.
 *
 * @param idOf identifier of a thing; the token names the last one given out
 */
export function cutPage<T>(
  things: readonly T[],
  page: PageRequest,
  idOf: (thing: T) => string,
): { readonly items: readonly T[]; readonly nextToken: string | undefined } {
  const start = page.after === undefined ? 0 : things.findIndex((thing) => idOf(thing) === page.after) + 1;
  if (page.after !== undefined && start === 0) {
    throw invalidToken();
  }
  const end = page.maxResults === undefined ? things.length : start + page.maxResults;
  const items = things.slice(start, end);
  const last = items.at(-1);
  const more = end < things.length && last !== undefined;
  return { items, nextToken: more ? Buffer.from(`after:${idOf(last)}`).toString("base64url") : undefined };
}

function decodeToken(token: string): string {
  const [, after] = /^after:(.+)$/.exec(Buffer.from(token, "base64url").toString("utf8")) ?? [];
  if (after === undefined) {
    throw invalidToken();
  }
  return after;
}

function invalidToken(): Ec2ApiError {
  return new Ec2ApiError(
    "InvalidNextToken",
    "The token is not valid or its page is gone; start again without it",
  );
}
