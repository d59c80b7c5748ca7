/** One page of a list, and the token of the next one. */
export interface Page<T> {
  readonly items: readonly T[];
  /** `undefined` or empty on the last page. */
  readonly nextToken: string | undefined;
}

/** All items of a list that EC2 gives in pages. @param read one page; without a token the first one */
export async function allPages<T>(read: (token: string | undefined) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = [];
  let token: string | undefined;
  do {
    const page = await read(token);
    items.push(...page.items);
    token = page.nextToken === "" ? undefined : page.nextToken;
  } while (token !== undefined);
  return items;
}

/** The parameter that asks for the page of a token. */
export function pageOf(token: string | undefined): { readonly NextToken?: string } {
  return token === undefined ? {} : { NextToken: token };
}
