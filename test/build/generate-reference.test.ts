import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { fieldsOf, readCrds, renderReference } from "../../build/generate-reference.ts";

const REFERENCE = join(import.meta.dirname, "../../docs/reference");

describe("the reference", () => {
  it("is what CRDs and code say now", async () => {
    for (const [name, wanted] of await renderReference()) {
      expect(readFileSync(join(REFERENCE, name), "utf8"), name).to.equal(wanted);
    }
  });

  it("says of every field what it is for, and so does kubectl explain", async () => {
    for (const [file, { spec }] of await readCrds()) {
      for (const { name, schema } of spec.versions) {
        const mute = fieldsOf(schema.openAPIV3Schema)
          .filter(({ schema: { description } }) => description === undefined || description.length < 8)
          .map(({ path }) => path)
          // kube-apiserver describes it itself, and lets nobody else.
          .filter((path) => path !== "metadata");
        expect(mute, `${file}, ${name}: fields without a description`).to.deep.equal([]);
      }
    }
  });

  it("names the fields of items and of values of maps, too", async () => {
    const crds = await readCrds();
    const paths = [...crds.values()].flatMap(({ spec }) =>
      spec.versions.flatMap(({ schema }) => fieldsOf(schema.openAPIV3Schema).map(({ path }) => path)),
    );
    expect(paths).to.include.members(["status.activity.<key>.seq", "status.conditions[].reason"]);
  });
});
