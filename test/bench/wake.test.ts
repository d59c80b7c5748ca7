import { expect } from "chai";
import { measureWakes } from "../../bench/router/wake.ts";

describe("the router's bench of waking and idling", () => {
  it("measures every figure, with as little as can be measured", async () => {
    const figures = await measureWakes({
      wakes: 1,
      releases: 1,
      connections: 2,
      streamsPerConnection: 3,
      idleConnections: 10,
    });
    expect(figures.wakeOverheadMs.samples).to.equal(1);
    expect(figures.wakeOverheadMs.p50).to.be.greaterThan(0);
    expect(figures.release1000Ms.samples).to.equal(1);
    expect(figures.release1000Ms.p99).to.be.greaterThan(0);
    expect(figures).to.have.property("idleConnectionBytes").that.is.a("number");
    expect(figures).to.have.property("bareSocketBytes").that.is.a("number");
  });
});
