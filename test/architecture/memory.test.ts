import { expect } from "chai";
import { globSync, readFileSync } from "node:fs";
import { join, sep } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const FOLDER = `src/operator/memory${sep}`;
/** An assignment to what is remembered, or its removal. */
const WRITE = /\bmemory(?:\.\w+)+ (?:\?\?)?= |\bdelete (?:\w+\.)*memory\./;

describe("what an operator process remembers of a satellite", () => {
  it("is written by the files that declare its parts, and by no other", () => {
    const writers = globSync("src/operator/**/*.ts", { cwd: ROOT }).filter(
      (file) => !file.startsWith(FOLDER) && WRITE.test(readFileSync(join(ROOT, file), "utf8")),
    );
    expect(writers).to.deep.equal([]);
  });
});
