import { expect } from "chai";
import { readFileSync } from "node:fs";
import { renderErrorDocs } from "../../../build/generate-error-docs.ts";
import { ERROR_TABLE } from "../../../src/machines/ec2/error-table.ts";

describe("docs/errors.md", () => {
  it("is what the error table says", () => {
    const page = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
    expect(page, "run: node build/generate-error-docs.ts").to.equal(renderErrorDocs());
  });

  it("has a row for every code, with a reason and advice", () => {
    const rows = renderErrorDocs().split("\n");
    for (const [code, { reason, advice }] of Object.entries(ERROR_TABLE)) {
      const row = rows.find((line) => line.startsWith(`| \`${code}\` |`));
      expect(row, code).to.include(reason).and.to.include(advice);
      expect(row?.split(" | "), code).to.have.length(4);
    }
  });
});
