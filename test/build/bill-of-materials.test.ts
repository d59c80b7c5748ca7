import { join } from "node:path";
import { Spec, Validation } from "@cyclonedx/cyclonedx-library";
import { expect } from "chai";
import { billOfMaterials, bundledPackages } from "../../build/bill-of-materials.ts";

const ROOT = join(import.meta.dirname, "../..");

interface Bill {
  readonly components: readonly {
    readonly name: string;
    readonly purl?: string;
    readonly hashes?: object[];
  }[];
}

describe("the bill of materials", () => {
  const INPUTS = [
    "node_modules/undici/index.js",
    "node_modules/@grpc/grpc-js/build/src/index.js",
    "src/main.ts",
  ];

  async function bill(): Promise<string> {
    const others = [
      {
        type: "library",
        name: "libc6",
        version: "2.36-9",
        purl: "pkg:deb/debian/libc6@2.36-9",
        sha256: "0".repeat(64),
      },
    ] as const;
    return billOfMaterials(ROOT, await bundledPackages(ROOT, INPUTS), others);
  }

  it("keeps CycloneDX's schema", async () => {
    const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);
    expect(await validator.validate(await bill())).to.equal(null);
    expect(await validator.validate((await bill()).replace('"library"', '"gadget"'))).to.not.equal(null);
  });

  it("names Node.js, what is bundled and what is beside it, each package with its hash", async () => {
    const { components } = JSON.parse(await bill()) as Bill;
    expect(components.map(({ name }) => name).toSorted()).to.deep.equal([
      "@grpc/grpc-js",
      "libc6",
      "node",
      "undici",
    ]);
    for (const { name, purl, hashes } of components.filter((component) => component.name !== "node")) {
      expect(purl, name).to.match(/^pkg:(npm|deb)\//);
      expect(hashes, name).to.have.length(1);
    }
  });

  it("holds nothing of the moment or the machine", async () => {
    expect(await bill()).to.equal(await bill());
    expect(await bill()).to.not.match(/timestamp|serialNumber/);
  });
});
