import { expect } from "chai";
import { read } from "./pages.ts";

/** Lines of a terminal's picture, with one space where there are several. */
function linesOf(svg: string): string[] {
  const byRow = Map.groupBy(
    svg.matchAll(/<text x="[\d.]+" y="(?<y>\d+)"[^>]*>(?<text>[^<]*)<\/text>/g),
    ({ groups }) => groups?.["y"],
  );
  return [...byRow.values()].map((texts) =>
    plain(texts.map(({ groups }) => groups?.["text"] ?? "").join(" ")),
  );
}

const plain = (line: string): string => line.trim().replaceAll(/\s+/g, " ");

describe("README", () => {
  it("says the figures of the run in its picture", () => {
    const table = /^```text\n(?<table>\+-[^]*?)\n```$/m.exec(read("README.md"))?.groups?.["table"] ?? "";
    const figures = table.split("\n");
    expect(figures).to.have.length.greaterThan(5);
    expect(linesOf(read("docs/pictures/demo.svg"))).to.include.members(figures.map(plain));
  });
});
