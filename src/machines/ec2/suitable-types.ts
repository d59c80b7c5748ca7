import type { Catalogue, TypeFacts } from "./catalogue.ts";

/** An instance type that fits an architecture, and the zones that have it. */
export interface SuitableType extends TypeFacts {
  readonly zones: ReadonlySet<string>;
}

/** Those of `types` that the region has for an architecture, in the same order. @throws CloudError */
export async function suitableTypes(
  wanted: { readonly types: readonly string[]; readonly architecture: string },
  catalogue: Pick<Catalogue, "types" | "zonesOf">,
): Promise<SuitableType[]> {
  const known = await catalogue.types(wanted.types);
  return Promise.all(
    known
      .filter(({ architectures }) => architectures.includes(wanted.architecture))
      .map(async (type) => ({ ...type, zones: await catalogue.zonesOf(type.name) })),
  );
}
