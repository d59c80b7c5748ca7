import { expect } from "chai";
import { readdirSync, readFileSync } from "node:fs";
import { renderErrorDocs } from "../../../build/generate-error-docs.ts";
import { ERROR_TABLE } from "../../../src/machines/ec2/error-table.ts";

describe("docs/errors.md", () => {
  it("is what the error table says", () => {
    const page = readFileSync(new URL("../../../docs/errors.md", import.meta.url), "utf8");
    expect(page, "run: node build/generate-error-docs.ts").to.equal(renderErrorDocs());
  });

  it("has a row for every code that the EC2 endpoint answers", () => {
    const folder = new URL("../../../src/local/ec2/", import.meta.url);
    const sources = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), "utf8"));
    const answered = sources.flatMap((source) => [
      ...source.matchAll(/Ec2ApiError\(\s*"([\w.]+)"|"((?:[A-Z]\w+)(?:Exception|NotFound))"/g),
    ]);
    const codes = new Set(answered.map(([, ec2, ssm]) => ec2 ?? ssm ?? ""));
    // The answer to every dry run, and no refusal (rehearsal.ts).
    codes.delete("DryRunOperation");
    expect(codes.size).to.be.greaterThan(25);
    expect([...codes].filter((code) => !Object.hasOwn(ERROR_TABLE, code))).to.deep.equal([]);
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
