import { expect } from "chai";
import { FairLine } from "../../src/base/fair-line.ts";

function taken<T>(line: FairLine<T>, mayTake?: (group: string) => boolean): T[] {
  const items: T[] = [];
  for (let item = line.take(mayTake); item !== undefined; item = line.take(mayTake)) {
    items.push(item);
  }
  return items;
}

describe("a fair line", () => {
  it("lets groups take turns, and keeps the order within each", () => {
    const line = new FairLine<string>();
    ["a1", "a2", "a3", "b1", "c1", "c2"].forEach((item) => line.add(item, item.slice(0, 1)));
    expect(line.size).to.equal(6);
    expect(taken(line)).to.deep.equal(["a1", "b1", "c1", "a2", "c2", "a3"]);
    expect(line.size).to.equal(0);
  });

  it("puts whoever comes anew one place behind each group, however many items they have", () => {
    const line = new FairLine<string>();
    Array.from({ length: 100 }, (_, index) => line.add(`a${index}`, "a"));
    line.take();
    line.add("b", "b");
    expect([line.take(), line.take()]).to.deep.equal(["a1", "b"]);
  });

  it("tells how many come before one more of a group", () => {
    const line = new FairLine<string>();
    ["a1", "a2", "a3", "a4", "b1", "b2", "c1"].forEach((item) => line.add(item, item.slice(0, 1)));
    for (const group of ["a", "b", "c", "d"]) {
      const ahead = line.ahead(group);
      const copy = new FairLine<string>();
      ["a1", "a2", "a3", "a4", "b1", "b2", "c1", `${group}-last`].forEach((item) =>
        copy.add(item, item.slice(0, 1)),
      );
      expect(Math.abs(taken(copy).indexOf(`${group}-last`) - ahead), group).to.be.at.most(1);
    }
    expect([line.ahead("a"), line.ahead("b"), line.ahead("c"), line.ahead("d")]).to.deep.equal([7, 6, 5, 3]);
  });

  it("leaves out groups that may not have any, and keeps their turn", () => {
    const line = new FairLine<string>();
    ["a1", "b1", "a2"].forEach((item) => line.add(item, item.slice(0, 1)));
    expect(taken(line, (group) => group !== "a")).to.deep.equal(["b1"]);
    expect(taken(line)).to.deep.equal(["a1", "a2"]);
  });

  it("keeps an item once, where it was first, until it is taken or deleted", () => {
    const line = new FairLine<string>();
    ["x", "y", "x"].forEach((item) => line.add(item, "a"));
    expect(line.size).to.equal(2);
    expect([line.delete("x", "a"), line.delete("x", "a")]).to.deep.equal([true, false]);
    expect(taken(line)).to.deep.equal(["y"]);
  });
});
