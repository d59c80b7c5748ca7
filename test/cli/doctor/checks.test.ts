import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { fieldsOf } from "../../../build/generate-reference.ts";
import { type Definition, lacking } from "../../../src/cli/doctor/cluster-checks.ts";

const NAMES = ["satellites.satellites.dev", "satelliteclasses.satellites.dev"];

const definition = (name: string): Definition =>
  parse(readFileSync(join(import.meta.dirname, `../../../crds/${name}.yaml`), "utf8")) as Definition;

/** The definition, in which every version has that schema. */
function withSchema({ spec }: Definition, schema: object): Definition {
  return {
    spec: { versions: spec.versions.map(({ name }) => ({ name, schema: { openAPIV3Schema: schema } })) },
  };
}

/** Takes the field out of a schema. @param path as kubectl explain takes it, with [] for items and <key> for values */
function remove(schema: unknown, path: string): void {
  const parts = path.replaceAll("[]", ".[]").split(".");
  const last = parts.pop() ?? "";
  const keysTo = (part: string): string[] =>
    part === "[]" ? ["items"] : part === "<key>" ? ["additionalProperties"] : ["properties", part];
  const parent = parts.flatMap(keysTo).reduce((at, key) => Reflect.get(at as object, key) as unknown, schema);
  Reflect.deleteProperty(Reflect.get(parent as object, "properties") as object, last);
}

describe("the age of CRDs", () => {
  for (const name of NAMES) {
    it(`is that of this version where ${name} has all its fields`, () => {
      expect(lacking(name, definition(name))).to.deep.equal([]);
    });

    it(`is told by whichever field an older ${name} lacks, however young that is`, () => {
      const current = definition(name);
      const root = current.spec.versions[0]?.schema?.openAPIV3Schema ?? {};
      const paths = fieldsOf(root as Parameters<typeof fieldsOf>[0]).map(({ path }) => path);
      expect(paths).to.have.length.above(80);
      for (const path of paths) {
        const older = structuredClone(root);
        remove(older, path);
        expect(lacking(name, withSchema(current, older)), path).to.deep.equal([path]);
      }
    });

    it(`names what holds the others, where ${name} lacks all`, () => {
      expect(lacking(name, withSchema(definition(name), {})))
        .to.include("spec")
        .and.not.include("spec.ec2");
      expect(lacking(name, { spec: { versions: [] } })).to.include("status");
    });
  }
});
