import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { readMochaCounts } from "../../build/mocha-counts.ts";

const REPORTER = join(import.meta.dirname, "../../build/second-try-reporter.ts");
const TESTS = `
describe("a suite", () => {
  let tries = 0;
  it("holds", () => {});
  it("holds at the second try", () => {
    tries += 1;
    if (tries === 1) {
      throw new Error("too early\\nby far");
    }
  });
  it("never holds", () => {
    throw new Error("broken");
  });
  it.skip("is left out", () => {});
});
`;

describe("the reporter of layers whose tests are tried again", () => {
  let directory: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "second-try-"));
    writeFileSync(join(directory, "tests.cjs"), TESTS);
  });
  after(() => rmSync(directory, { recursive: true, force: true }));

  function run(...args: string[]): string {
    const { stdout, stderr } = spawnSync("mocha", ["--reporter", REPORTER, ...args, "tests.cjs"], {
      cwd: directory,
      encoding: "utf8",
    });
    return stdout + stderr;
  }

  it("names each test that was tried again, with how it failed first", () => {
    const output = run("--retries", "1");
    expect(output).to.contain("2 tried again after a failure:");
    expect(output).to.contain("    a suite holds at the second try: too early\n");
    expect(readMochaCounts(output)).to.deep.equal({ passing: 2, failing: 1, pending: 1, retried: 2 });
  });

  it("says nothing of second tries where there were none", () => {
    const output = run("--grep", "a suite holds$", "--retries", "1");
    expect(output).to.not.contain("tried again");
    expect(readMochaCounts(output)).to.deep.equal({ passing: 1, failing: 0, pending: 0, retried: 0 });
  });
});
