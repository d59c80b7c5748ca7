/** A schema in a CustomResourceDefinition, as far as it says which fields there are. */
export interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
}

/**
 * The path of every field below a schema, each after the field that holds it.
 *
 * @param schema what is looked into; none has no fields
 * @param path of the schema itself, as kubectl explain takes it, with `[]` for an item of a list and `<key>` for a value of a map
 */
export function fieldPaths(schema: Schema | undefined, path = ""): string[] {
  const { properties = {}, items, additionalProperties } = schema ?? {};
  const fields = Object.entries(properties).flatMap(([name, child]) => {
    const own = path === "" ? name : `${path}.${name}`;
    return [own, ...fieldPaths(child, own)];
  });
  return [
    ...fields,
    ...(items === undefined ? [] : fieldPaths(items, `${path}[]`)),
    ...(additionalProperties === undefined ? [] : fieldPaths(additionalProperties, `${path}.<key>`)),
  ];
}
