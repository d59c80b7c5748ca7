import { expect } from "chai";
import { BENCH_PROGRAMS, CONTENDERS } from "../../bench/router/contenders.ts";
import { goalOf } from "../../bench/router/report.ts";

describe("the programs of the router's bench", () => {
  it("can all be installed, every peer among them", () => {
    const installable = new Set(BENCH_PROGRAMS.map(({ program }) => program));
    const peers = CONTENDERS.map(({ program }) => program).filter((program) => program !== process.execPath);
    expect(peers).to.include("nginx");
    expect(peers.filter((program) => !installable.has(program))).to.deep.equal([]);
  });
});

describe("the goals of the router's bench", () => {
  it("are met or missed where the peer was measured", () => {
    expect(goalOf("8 × 32", { nghttpx: { rate: 1.3, cpu: 0.7 } })).to.contain("nghttpx ≥ 1.3 at ≤ 0.7: met");
    expect(goalOf("8 × 32", { nghttpx: { rate: 1.29, cpu: 0.7 } })).to.contain("missed");
    expect(goalOf("8 × 32", { nghttpx: { rate: 1.3, cpu: 0.71 } })).to.contain("missed");
  });

  it("are not measured where the peer is not installed", () => {
    expect(goalOf("32 × 4", { nghttpx: { rate: 1, cpu: 1 } })).to.equal(
      "haproxy ≥ 1: not measured; nghttpx ≥ 0.9: met",
    );
  });
});
