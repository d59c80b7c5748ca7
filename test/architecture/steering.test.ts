import { expect } from "chai";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

/** What reads how a satellite is shown to people. */
const READERS = /\bfindCondition\(|\.conditions\b|\bstatus\.phase\b|\bphase (?:===|!==) /;

/** Files of the operator that may, and what for. */
const PRESENTATION: readonly string[] = [
  "src/operator/class-reconciler.ts", // A SatelliteClass's own conditions, which it renders.
  "src/operator/conditions/table.ts", // What was said before, so that what is over is said to be over.
  "src/operator/older-status.ts", // What a version before wrote as reasons of conditions.
  "src/operator/operator.ts", // How many satellites are in each phase, as a metric.
  "src/operator/rejected-write.ts", // What was said before, where nothing but that can be stored.
];

describe("what people are shown", () => {
  it("steers nothing: conditions and phase are rendered from the fields of the status", () => {
    const readers = globSync("src/operator/**/*.ts", { cwd: ROOT }).filter((file) =>
      READERS.test(readFileSync(join(ROOT, file), "utf8")),
    );
    expect(readers.toSorted()).to.deep.equal(PRESENTATION);
  });
});
