import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { type Definition, lacking, YOUNGEST_FIELDS } from "../../../src/cli/doctor/cluster-checks.ts";

const definition = (name: string): Definition => {
  const [plural = "", group = ""] = name.split(/\.(.*)/s);
  return parse(
    readFileSync(join(import.meta.dirname, `../../../crds/${plural}.${group}.yaml`), "utf8"),
  ) as Definition;
};

describe("the age of CRDs", () => {
  for (const [name, fields] of Object.entries(YOUNGEST_FIELDS)) {
    it(`is told by fields that this version's ${name} has`, () => {
      expect(lacking(name, definition(name))).to.deep.equal([]);
    });

    it(`is told by fields that an older ${name} lacks`, () => {
      const { spec } = definition(name);
      const older = {
        spec: {
          versions: spec.versions.map(({ name: version }) => ({
            name: version,
            schema: { openAPIV3Schema: {} },
          })),
        },
      };
      expect(lacking(name, older)).to.deep.equal(fields);
    });
  }
});
