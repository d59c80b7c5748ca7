import { expect } from "chai";

import { admitMs, leaseSeconds, quietMs, renewMs } from "../../src/router/lease-terms.ts";

describe("terms of a lease", () => {
  for (const [idleTimeout, seconds] of [
    ["5s", 5],
    ["10m", 600],
    ["30m", 1800],
    ["8h", 1800],
    ["0s", 1800],
    ["5500ms", 5],
  ] as const) {
    it(`is valid for ${seconds} s where the idleTimeout is ${idleTimeout}`, () => {
      expect(leaseSeconds(idleTimeout)).to.equal(seconds);
    });
  }

  it("admits for half of that, and renews after a third", () => {
    expect(admitMs(90)).to.equal(45_000);
    expect(renewMs(90)).to.equal(30_000);
  });

  it("waits a thirtieth before it reports the end of use, between a quarter of a second and a minute", () => {
    expect([5, 90, 1800].map(quietMs)).to.deep.equal([250, 3000, 60_000]);
  });
});
