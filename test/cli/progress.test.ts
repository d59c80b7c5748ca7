import { stripVTControlCharacters } from "node:util";
import { expect } from "chai";
import type { CliContext } from "../../src/cli/context.ts";
import { Progress } from "../../src/cli/progress.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const LONG = "Launching: machine i-1 runs, and port 9999 does not answer yet; look in its console output";

describe("the progress of a command", () => {
  /** What is on the screen at the end: of a line that is rewritten, the last. */
  async function screen(columns: number, isTTY: boolean, ...texts: string[]): Promise<string[]> {
    const clock = new VirtualClock();
    let written = "";
    const err = { isTTY, columns, write: (text: string | Uint8Array) => (written += String(text)) };
    const context = { clock, err, environment: {} } as unknown as CliContext;
    const progress = new Progress("team-a/ada", context);
    for (const text of texts) {
      progress.show(text);
      await clock.advance(3_000);
    }
    progress.end();
    return written
      .split("\n")
      .map((line) => stripVTControlCharacters(line.slice(line.lastIndexOf("\r") + 1)))
      .slice(0, -1);
  }

  it("is one line for each state on a terminal, with how long it lasted", async () => {
    for (const columns of [80, 0]) {
      expect(await screen(columns, true, "Waking", "Running")).to.deep.equal([
        "   0.0 s  team-a/ada  Waking  3s",
        "   3.0 s  team-a/ada  Running  3s",
      ]);
    }
  });

  it("shows all of a state that is wider than the terminal, and counts below it", async () => {
    expect(await screen(60, true, LONG, "Running")).to.deep.equal([
      "   0.0 s  team-a/ada  Launching: machine i-1 runs, and port",
      "          9999 does not answer yet; look in its console",
      "          output",
      "   0.0 s  team-a/ada  Launching  3s",
      "   3.0 s  team-a/ada  Running  3s",
    ]);
  });

  it("is one whole line for each state where no terminal is", async () => {
    expect(await screen(0, false, LONG, "Running")).to.deep.equal([
      `   0.0 s  team-a/ada  ${LONG}`,
      "   3.0 s  team-a/ada  Running",
    ]);
  });
});
