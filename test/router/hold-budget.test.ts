import { expect } from "chai";

import { HoldBudget, type HoldPlace } from "../../src/router/hold-budget.ts";

/** Takes places by name and notes who has to give one up. */
class Takers {
  readonly crowdedOut: string[] = [];
  readonly places = new Map<string, HoldPlace>();
  readonly #budget: HoldBudget;

  constructor(places: number) {
    this.#budget = new HoldBudget(places);
  }

  /** Takes `count` places for a namespace; returns how many it got. */
  take(namespace: string, count = 1): number {
    let got = 0;
    for (let i = 0; i < count; i++) {
      const name = `${namespace}-${this.places.size + this.crowdedOut.length}`;
      const place = this.#budget.take(namespace, () => {
        this.crowdedOut.push(name);
        this.leave(name);
      });
      if (place !== undefined) {
        this.places.set(name, place);
        got++;
      }
    }
    return got;
  }

  leave(name: string): void {
    this.places.get(name)?.leave();
    this.places.delete(name);
  }
}

describe("the budget of held requests", () => {
  it("gives one namespace all places while nobody else needs one", () => {
    const takers = new Takers(100);
    expect(takers.take("noisy", 150)).to.equal(100);
    expect(takers.crowdedOut).to.deep.equal([]);
  });

  it("makes room for another namespace: the newest of the largest gives way", () => {
    const takers = new Takers(100);
    takers.take("noisy", 100);
    expect(takers.take("quiet", 2)).to.equal(2);
    expect(takers.crowdedOut).to.deep.equal(["noisy-99", "noisy-98"]);
  });

  it("passes over requests that have ended when it looks for the newest", () => {
    const takers = new Takers(100);
    takers.take("noisy", 100);
    takers.leave("noisy-99");
    takers.take("quiet", 2);
    expect(takers.crowdedOut).to.deep.equal(["noisy-98"]);
  });

  it("refuses the newest of the largest, also where it is the newcomer", () => {
    const takers = new Takers(100);
    takers.take("noisy", 100);
    expect(takers.take("quiet", 100)).to.equal(50);
    expect(takers.take("noisy")).to.equal(0);
    expect(takers.crowdedOut).to.have.length(50);
  });

  it("shares evenly among many", () => {
    const takers = new Takers(100);
    takers.take("noisy", 100);
    for (let i = 0; i < 9; i++) {
      takers.take(`quiet${i}`, 100);
    }
    const held = (namespace: string): number =>
      [...takers.places.keys()].filter((name) => name.startsWith(`${namespace}-`)).length;
    const shares = ["noisy", ...Array.from({ length: 9 }, (_unused, i) => `quiet${i}`)].map(held);
    expect(Math.min(...shares)).to.be.at.least(9);
    expect(Math.max(...shares)).to.be.at.most(11);
  });

  it("gives places back, also after many have come and gone", () => {
    const takers = new Takers(10);
    for (let i = 0; i < 1000; i++) {
      expect(takers.take("noisy")).to.equal(1);
      takers.leave([...takers.places.keys()][0] ?? "");
    }
    expect(takers.take("noisy", 20)).to.equal(10);
    expect(takers.take("quiet")).to.equal(1);
  });
});
