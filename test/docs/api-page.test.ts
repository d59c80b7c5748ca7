import { expect } from "chai";
import { parse } from "yaml";
import { fieldsOf } from "../../build/generate-reference.ts";
import { read } from "./pages.ts";

type Schema = Parameters<typeof fieldsOf>[0];

/** The defaults of a satellite's spec by its CRD, without those of fields within a field. */
function defaultsOfCrd(): Map<string, string> {
  const { spec } = parse(read("crds/satellites.satellites.dev.yaml")) as {
    readonly spec: {
      readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[];
    };
  };
  const own = spec.versions[0]?.schema.openAPIV3Schema.properties?.["spec"];
  return new Map(
    fieldsOf(own ?? {})
      .filter(({ path, schema }) => !path.includes(".") && schema.default !== undefined)
      .map(({ path, schema }) => [path, String(schema.default)]),
  );
}

/** The same by the first table of docs/api.md. */
function defaultsOfPage(): Map<string, string> {
  const [table = ""] = /^\| spec \| default \|[^]*?\n\n/m.exec(read("docs/api.md")) ?? [];
  return new Map(
    [...table.matchAll(/^\| `(\w+)` \| `"?([^`"]+)"?` \|/gm)].map(([, field = "", value = ""]) => [
      field,
      value,
    ]),
  );
}

describe("the table of a satellite's spec in docs/api.md", () => {
  it("has the defaults of the CRD, all of them", () => {
    const wanted = defaultsOfCrd();
    expect([...wanted.keys()]).to.include("idleTimeout");
    expect(Object.fromEntries(defaultsOfPage())).to.deep.equal(Object.fromEntries(wanted));
  });
});
