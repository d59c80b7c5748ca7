import { expect } from "chai";
import { BENCH_PROGRAMS, CONTENDERS } from "../../bench/router/contenders.ts";
import type { Cell } from "../../bench/router/measure.ts";
import { goalOf, p99GoalOf } from "../../bench/router/report.ts";

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
    expect(goalOf("8 × 32", { nghttpx: { rate: 1.6, cpu: 0.7 } })).to.contain("nghttpx ≥ 1.6 at ≤ 0.7: met");
    expect(goalOf("8 × 32", { nghttpx: { rate: 1.59, cpu: 0.7 } })).to.contain("missed");
    expect(goalOf("8 × 32", { nghttpx: { rate: 1.6, cpu: 0.71 } })).to.contain("missed");
  });

  it("are those of the longest beginning that fits a row", () => {
    expect(goalOf("8 × 32, TLS", { nghttpx: { rate: 1.3, cpu: 0.7 } })).to.contain(
      "nghttpx ≥ 1.3 at ≤ 0.7: met",
    );
    const plain = goalOf("1 MiB responses, 8 × 4", { nghttpx: { rate: 1, cpu: 1 } });
    expect(plain).to.contain("nghttpx ≥ 1.1: missed");
  });

  it("have the time of a request compared with nghttpx's", () => {
    const cell = (p99: number): Cell => ({ requestsPerSecond: 1, failed: 0, latencyMicros: { p50: 1, p99 } });
    expect(p99GoalOf({ router: cell(120), nghttpx: cell(100) })).to.contain(": met, 1.20");
    expect(p99GoalOf({ router: cell(121), nghttpx: cell(100) })).to.contain(": missed, 1.21");
    expect(p99GoalOf({ router: cell(120) })).to.contain("not measured");
  });

  it("are not measured where the peer is not installed", () => {
    expect(goalOf("32 × 4", { nghttpx: { rate: 1, cpu: 1 } })).to.equal(
      "haproxy ≥ 1: not measured; nghttpx ≥ 1: met",
    );
  });
});
