import { expect } from "chai";
import { readPrices } from "../../src/cli/prices.ts";
import { summarize, total } from "../../src/cli/savings.ts";
import { awake, power, satellite } from "../router/satellites.ts";

const NOW = new Date("2026-03-01T12:00:00Z");
const machine = { id: "i-1", type: "t3.small" };
const usage = { runningSeconds: 3600, asleepSeconds: 7200, wakes: 3 };
const PRICES = new Map([["t3.small", 0.5]]);

describe("what sleeping saves", () => {
  it("counts the stretch that goes on now, awake or asleep", () => {
    const running = awake({
      status: { machine, usage, power: power("Running", { since: "2026-03-01T10:00:00Z" }) },
    });
    const sleeping = satellite({
      name: "bob",
      status: { machine, usage, sleep: { kind: "Hibernated", since: "2026-03-01T08:00:00Z" } },
    });
    expect(summarize([running, sleeping], PRICES, "satellite", NOW)).to.deep.equal([
      { name: "team-a/bob", awakeHours: 1, asleepHours: 6, wakes: 3, paid: 0.5, saved: 3 },
      { name: "team-a/ada", awakeHours: 3, asleepHours: 2, wakes: 3, paid: 1.5, saved: 1 },
    ]);
  });

  it("sums by namespace and class, and leaves out of the money what has no price", () => {
    const priced = satellite({ status: { machine, usage } });
    const other = satellite({
      namespace: "team-b",
      status: { machine: { id: "i-2", type: "x9.huge" }, usage },
    });
    const rows = summarize([priced, other], PRICES, "namespace", NOW);
    expect(rows.map(({ name, saved }) => [name, saved])).to.deep.equal([
      ["team-a", 1],
      ["team-b", undefined],
    ]);
    expect(summarize([priced, other], PRICES, "class", NOW)).to.have.length(1);
    expect(total(rows)).to.include({ asleepHours: 4, saved: 1 });
  });
});

describe("prices", () => {
  it("are dollars an hour by type", () => {
    expect([...readPrices({ "t3.small": 0.0208 })]).to.deep.equal([["t3.small", 0.0208]]);
  });

  it("are those of shared Linux machines in a file of the AWS Price List", () => {
    const product = (attributes: object): object => ({
      attributes: {
        operatingSystem: "Linux",
        tenancy: "Shared",
        preInstalledSw: "NA",
        capacitystatus: "Used",
        ...attributes,
      },
    });
    const offer = (usd: string, unit = "Hrs"): object => ({
      term: { priceDimensions: { one: { unit, pricePerUnit: { USD: usd } } } },
    });
    const list = {
      products: {
        A: product({ instanceType: "t3.small" }),
        B: product({ instanceType: "t3.small", operatingSystem: "Windows" }),
        C: product({ instanceType: "m7i.large" }),
        D: product({ instanceType: "gift" }),
      },
      terms: { OnDemand: { A: offer("0.0208"), B: offer("0.0392"), C: offer("0.1008"), D: offer("0.0000") } },
    };
    expect([...readPrices(list)]).to.deep.equal([
      ["t3.small", 0.0208],
      ["m7i.large", 0.1008],
    ]);
  });

  it("are refused where there are none", () => {
    for (const list of [undefined, {}, [], { products: {} }, { "t3.small": "free" }]) {
      expect(() => readPrices(list)).to.throw("holds no price");
    }
  });
});
