import { expect } from "chai";
import { goalOf } from "../../bench/router/report.ts";

describe("the goals of the router's bench", () => {
  it("are met or missed where the peer was measured", () => {
    expect(goalOf("8 × 32", { nghttpx: { rate: 1.3, cpu: 0.7 } })).to.equal("nghttpx ≥ 1.3 at ≤ 0.7: met");
    expect(goalOf("8 × 32", { nghttpx: { rate: 1.29, cpu: 0.7 } })).to.contain("missed");
    expect(goalOf("8 × 32", { nghttpx: { rate: 1.3, cpu: 0.71 } })).to.contain("missed");
  });

  it("are not measured where the peer is not installed", () => {
    expect(goalOf("32 × 4", { nghttpx: { rate: 1, cpu: 1 } })).to.equal(
      "haproxy ≥ 1: not measured; nghttpx ≥ 0.9: met",
    );
  });
});
