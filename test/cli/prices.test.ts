import { expect } from "chai";
import { readPrices } from "../../src/cli/prices.ts";

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
