import { expect } from "chai";
import { NOISES, percentile, wakesBeside } from "./noisy-neighbour.ts";

const WAKES = 6;
/** How much longer the slowest of a quiet tenant's wakes may take beside a noisy one, in virtual milliseconds. */
const TOLERANCE_MS = 250;

describe("a quiet tenant beside a noisy one, under EC2's documented request limits", function () {
  this.timeout(120_000);
  this.slow(60_000);
  let alone = Number.NaN;

  before(async () => {
    alone = percentile(await wakesBeside("none", WAKES), 0.99);
  });

  for (const noise of NOISES.filter((name) => name !== "none")) {
    it(`wakes as fast as alone: ${noise}`, async () => {
      const beside = await wakesBeside(noise, WAKES);
      expect(beside).to.have.length(WAKES);
      expect(percentile(beside, 0.99) - alone).to.be.below(TOLERANCE_MS);
    });
  }
});
