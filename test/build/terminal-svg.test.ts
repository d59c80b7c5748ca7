import { expect } from "chai";
import { terminalSvg } from "../../build/pictures/terminal-svg.ts";

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
