import { expect } from "chai";
import { measureManySatellites } from "../../bench/router/many-satellites.ts";

describe("bench: one connection to many satellites", function () {
  this.timeout(60_000);

  it("is measured with all well and with one that hangs, and every answer is the right satellite's", async () => {
    const { well, stalled } = await measureManySatellites({ satellites: 4, seconds: 0.5 });
    for (const figures of [well, stalled]) {
      expect(figures).to.include({ failed: 0, silent: 0 });
      expect(figures.requestsPerSecond).to.be.greaterThan(0);
      expect(figures.p99Micros).to.be.at.least(figures.p50Micros);
    }
  });
});
