import { globSync } from "node:fs";
import { expect } from "chai";
import { PAGES, read, ROOT } from "./pages.ts";

const FILES = [...PAGES, ...globSync("examples/**/*", { cwd: ROOT, withFileTypes: false })].filter((file) =>
  /\.(?:md|sh|ya?ml)$/.test(file),
);

/** What stands between fences; the whole text where there are none. */
function blocksOf(text: string): string[] {
  const blocks = [...text.matchAll(/^ *```[^\n]*\n([^]*?)^ *```/gm)].map(([, block = ""]) => block);
  return blocks.length > 0 ? blocks : [text];
}

/** The roles that a text has somebody create. */
const rolesIn = (text: string): string[] =>
  [...text.matchAll(/aws iam create-role\s[^]*?--role-name\s+(\S+)/g)].map(([, role = ""]) => role);

/** The roles that a text has somebody create, and that are given no right after it in the same block. */
function rolesWithoutRights(text: string): string[] {
  return blocksOf(text).flatMap((block) =>
    rolesIn(block).filter((role) => {
      const after = block.slice(block.indexOf(`--role-name ${role}`));
      const granted = [
        ...after.matchAll(/aws iam (?:put|attach)-role-policy\s[^]*?--role-name\s+(\S+)/g),
      ].map(([, name = ""]) => name);
      return !granted.includes(role);
    }),
  );
}

describe("roles that pages and examples create", () => {
  it("are given their rights in the same block", () => {
    const texts = FILES.map((file) => [file, read(file)] as const);
    expect(texts.flatMap(([, text]) => rolesIn(text))).not.to.deep.equal([]);
    expect(
      texts.flatMap(([file, text]) => rolesWithoutRights(text).map((role) => `${file}: ${role}`)),
    ).to.deep.equal([]);
  });

  it("would be found out without them", () => {
    const creates =
      "aws iam create-role --role-name operator \\\n  --assume-role-policy-document file://a.json\n";
    const grants = "aws iam put-role-policy --role-name operator --policy-document file://b.json\n";
    const others = "aws iam attach-role-policy --role-name router --policy-arn ARN\n";
    const block = (...lines: string[]): string => ["```sh aws\n", ...lines, "```\n"].join("");
    expect(rolesWithoutRights(block(creates, grants))).to.deep.equal([]);
    for (const text of [
      creates + others,
      block(creates),
      block(creates, others),
      block(grants, creates),
      block(creates) + block(grants),
    ]) {
      expect(rolesWithoutRights(text), text).to.deep.equal(["operator"]);
    }
  });
});
