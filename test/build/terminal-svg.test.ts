import { expect } from "chai";
import { recordingSvg, terminalSvg, type Written } from "../../build/pictures/terminal-svg.ts";

describe("pictures of a terminal", () => {
  const texts = async (bytes: string): Promise<string[]> =>
    [...(await terminalSvg(bytes, 40, "title")).matchAll(/<text .*<\/text>/g)].map(([text]) => text);

  it("show what is on the screen at the end, and not what was rewritten", async () => {
    const [line = "", ...others] = await texts("waking 1 s\r\u001B[2K\u001B[2mwaking 2 s\u001B[0m\r\n");
    expect(others).to.deep.equal([]);
    expect(line).to.match(/opacity="0.65".*>waking 2 s<\/text>/);
  });

  it("have no text with a gap in it, which browsers would close", async () => {
    const [name = "", phase = "", ...others] = await texts("  NAME   PHASE\n");
    expect(name).to.contain('x="34.8"').and.contain(">NAME<");
    expect(phase).to.contain('x="93.6"').and.contain(">PHASE<");
    expect(others).to.deep.equal([]);
  });

  it("have each text in its colour, at its column, as wide as in the terminal", async () => {
    const [plain = "", red = ""] = await texts("NAME  \u001B[1;31mFailed <a>\u001B[0m\n");
    expect(plain).to.contain('x="18.0"').and.contain('textLength="33.6"').and.contain(">NAME<");
    expect(red)
      .to.contain('x="68.4"')
      .and.contain('fill="#ff7b72"')
      .and.contain('font-weight="bold"')
      .and.contain(">Failed &lt;a&gt;<");
  });
});

describe("moving pictures of a terminal", () => {
  /** The lines of such a picture by the second at which they appear. */
  async function appearing(...recording: Written[]): Promise<Record<string, string>> {
    const svg = await recordingSvg(recording, 40, "title");
    const groups = svg.matchAll(
      /<g class="l" style="animation-delay:(?<at>[\d.]+)s">\n(?<texts>[^]*?)\n<\/g>/g,
    );
    return Object.fromEntries(
      [...groups].map(({ groups: { at = "", texts = "" } = {} }) => [texts.replaceAll(/<[^>]*>/g, ""), at]),
    );
  }

  it("show each line when it was written", async () => {
    expect(
      await appearing(
        { seconds: 3, bytes: "a\n" },
        { seconds: 3.5, bytes: "b\n" },
        { seconds: 4.25, bytes: "c\n" },
      ),
    ).to.deep.equal({ a: "0.00", b: "0.50", c: "1.25" });
  });

  it("shorten pauses", async () => {
    expect(
      await appearing(
        { seconds: 0, bytes: "a\n" },
        { seconds: 60, bytes: "b\n" },
        { seconds: 61, bytes: "c\n" },
      ),
    ).to.deep.equal({ a: "0.00", b: "1.20", c: "2.20" });
  });

  it("show a line that was rewritten when it got its last look", async () => {
    expect(
      await appearing({ seconds: 0, bytes: "1 %\nbelow\n" }, { seconds: 1, bytes: "\u001B[2A\r100 %" }),
    ).to.deep.equal({ "100 %": "1.00", below: "0.00" });
  });

  it("are complete at once where little motion is asked for, or nothing can move", async () => {
    const svg = await recordingSvg([{ seconds: 0, bytes: "a\n" }], 40, "title");
    const style = /<style>(?<css>[^<]*)<\/style>/.exec(svg)?.groups?.["css"] ?? "";
    expect(style).to.match(/^@media\(prefers-reduced-motion:no-preference\)\{.*\}$/);
    expect(svg.replace(style, "")).to.not.contain("opacity");
  });
});
