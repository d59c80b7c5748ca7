import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { readMochaCounts } from "../../build/mocha-counts.ts";

const REPORTER = join(import.meta.dirname, "../../build/test-reporter.ts");
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

describe("the reporter of tests", () => {
  let directory: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "test-reporter-"));
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

  it("names each test that failed or was tried again, with how it failed", () => {
    const output = run("--retries", "1");
    expect(output).to.contain("2 tried again after a failure:");
    expect(readMochaCounts(output)).to.deep.equal({
      passing: 2,
      failing: 1,
      pending: 1,
      retried: 2,
      trouble: [
        "tried again: a suite holds at the second try: too early | by far",
        "tried again: a suite never holds: broken",
        "failed: a suite never holds: broken",
      ],
    });
  });

  it("says nothing of second tries where there were none", () => {
    const output = run("--grep", "a suite holds$", "--retries", "1");
    expect(output).to.not.contain("tried again");
    expect(readMochaCounts(output)).to.deep.equal({
      passing: 1,
      failing: 0,
      pending: 0,
      retried: 0,
      trouble: [],
    });
  });
});
