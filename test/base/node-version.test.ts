import { expect } from "chai";
import { nodeProblem } from "../../src/base/node-version.ts";

describe("the version of Node.js", () => {
  it("is good from the oldest on that is wanted", () => {
    for (const version of ["24.12.0", "24.12.1", "24.13.0", "25.0.0", "100.1.0", "24.12.0-nightly2026"]) {
      expect(nodeProblem(version, ">=24.12.0"), version).to.equal(undefined);
    }
  });

  it("is too old before, which is said with both versions", () => {
    for (const version of ["24.11.9", "24.9.0", "20.20.2", "8.0.0"]) {
      expect(nodeProblem(version, ">=24.12.0"), version)
        .to.contain("Node.js 24.12.0 or newer")
        .and.contain(` ${version}:`);
    }
  });
});
