import { expect } from "chai";

import { ATTACKS, runSuite } from "./suite.ts";

/** Patience with the router is what these try; the whole suite has time for that. */
const TAKES_TIME = /^(?:h2spec|slow|.* that stop$)/;

/** A slice of `make hostile`: every attack that takes no patience, with a fiftieth of its inputs. */
describe("a router under attack", () => {
  it("lives, stays small, and serves its other clients", async function () {
    this.timeout(60_000);
    const attacks = ATTACKS.filter(({ name }) => !TAKES_TIME.test(name));
    const results = await runSuite({ attacks, seed: 1, scale: 0.02, onResult: () => {} });
    const harm = results.flatMap(({ name, problems }) => problems.map((problem) => `${name}: ${problem}`));
    expect(harm).to.deep.equal([]);
    expect(results.length).to.equal(attacks.length);
  });
});
