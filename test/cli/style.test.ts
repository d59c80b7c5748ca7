import { expect } from "chai";
import { wrap } from "../../src/cli/style.ts";

const terminal = { isTTY: true, columns: 50, write: () => {} };
const LINE = `\u001B[31mFAIL\u001B[0m  ${"word ".repeat(12).trim()}`;

describe("a long line", () => {
  it("is broken between words at the width of a terminal, whose colours take no room", () => {
    expect(wrap(LINE, terminal, 6)).to.equal(
      `\u001B[31mFAIL\u001B[0m  ${"word ".repeat(9).trim()}\n      ${"word ".repeat(3).trim()}`,
    );
  });

  it("stays whole where it has room, and where a program reads it", () => {
    expect(wrap(LINE, { ...terminal, columns: 120 }, 6)).to.equal(LINE);
    expect(wrap(LINE, { write: () => {} }, 6)).to.equal(LINE);
  });
});
