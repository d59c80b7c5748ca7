import { expect } from "chai";
import { columnsOf, counted, wrap } from "../../src/cli/style.ts";

const terminal = { isTTY: true, columns: 50 };
const LINE = `\u001B[31mFAIL\u001B[0m  ${"word ".repeat(12).trim()}`;

describe("a long line", () => {
  it("is broken between words at the width of a terminal, whose colours take no room", () => {
    expect(wrap(LINE, terminal, 6)).to.equal(
      `\u001B[31mFAIL\u001B[0m  ${"word ".repeat(9).trim()}\n      ${"word ".repeat(3).trim()}`,
    );
  });

  it("stays whole where it has room, and where a program reads it", () => {
    expect(wrap(LINE, { ...terminal, columns: 120 }, 6)).to.equal(LINE);
    expect(wrap(LINE, {}, 6)).to.equal(LINE);
  });
});

describe("what is shown to people", () => {
  it("takes a terminal that says no width, or 0, for one of the usual width", () => {
    const widths = [{ columns: 120 }, { columns: 0 }, {}].map((size) => columnsOf(size, 80));
    expect(widths).to.deep.equal([120, 80, 80]);
  });

  it("counts one thing in the singular", () => {
    expect([0, 1, 2].map((count) => counted(count, "wake"))).to.deep.equal(["0 wakes", "1 wake", "2 wakes"]);
  });
});
