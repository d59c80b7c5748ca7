import { expect } from "chai";
import { lastWordsOn } from "../../src/machines/guest-words.ts";

describe("what a guest says on its console", () => {
  it("is the last line that begins with the mark, whatever else is written there", () => {
    const console = [
      "[    0.000000] Linux version 6.12",
      "satellites: failed: BuildKit cannot be installed: first",
      "[   12.3] cloud-init[400]: satellites: failed: somebody quotes it",
      "satellites: failed: BuildKit cannot be installed: second",
      "debian login: ",
    ].join("\r\n");
    expect(lastWordsOn(console)).to.deep.equal({
      text: "BuildKit cannot be installed: second",
      isFailure: true,
    });
  });

  it("is no failure where what was said last is none", () => {
    expect(lastWordsOn("satellites: failed: no\nsatellites: BuildKit 1.2.3 is installed\n")).to.deep.equal({
      text: "BuildKit 1.2.3 is installed",
      isFailure: false,
    });
  });

  it("is nothing where no line begins so", () => {
    expect(lastWordsOn("")).to.equal(undefined);
    expect(lastWordsOn(" satellites: failed: no\nsatellites:failed")).to.equal(undefined);
  });

  it("loses passwords, control characters, and what is too long", () => {
    const said = `satellites: failed: https://me:secret@mirror.example/a \u001b[31mred ${"x".repeat(5000)}\n`;
    const { text } = lastWordsOn(said) ?? { text: "" };
    expect(text).to.match(/^https:\/\/mirror\.example\/a \[31mred x+$/);
    expect(text).to.have.length(1024);
  });
});
