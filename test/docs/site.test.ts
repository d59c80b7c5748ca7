import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { anchorOf, copiedKinds, targetOf } from "../../site/links.ts";
import { readPicture, themedHtml } from "../../site/pictures.ts";
import { SECTIONS } from "../../site/navigation.ts";
import { anchorOf as anchorInTests, headingsOf, PAGES, read, ROOT } from "./pages.ts";

const SOURCES = "https://host.example/owner/name/blob/main";

describe("the site's navigation", () => {
  it("has a place for every page, decisions aside, and no other", () => {
    const placed = SECTIONS.flatMap(({ pages }) => pages.map(({ file }) => file));
    const pages = PAGES.filter((file) => !file.startsWith("test/") && !/^docs\/decisions\/\d{4}-/.test(file));
    expect(placed.toSorted()).to.deep.equal(pages.toSorted());
  });

  it("begins with what a stranger needs", () => {
    expect(SECTIONS[0]?.pages.map(({ file }) => file)).to.deep.equal([
      "README.md",
      "docs/quick-start.md",
      "docs/eks.md",
      "docs/concepts.md",
    ]);
  });
});

describe("a link on the site", () => {
  const cases: [string, string, string, string | undefined][] = [
    ["to a page and a section of it", "docs", "ec2.md#tags", "ec2.md#tags"],
    ["to elsewhere", "docs", "https://example.com/x.ts", "https://example.com/x.ts"],
    ["to the first page", "charts/satellites", "../../README.md", "../../index.md"],
    ["to the folder of decisions", ".", "docs/decisions/", "docs/decisions/index.md"],
    ["to an example, which is copied", "docs", "../examples/aws/class.yaml", "../examples/aws/class.yaml"],
    ["to a source", "docs", "../src/main.ts", undefined],
    ["to a folder of copies, which shows nothing", "docs", "../crds", undefined],
  ];
  for (const [what, folder, href, target] of cases) {
    it(`${what} leads to ${target ?? "nowhere, and is words"}`, () => {
      expect(targetOf(ROOT, folder, href, undefined)).to.equal(target);
    });
  }

  it("to a source leads to the code host where that is known", () => {
    expect(targetOf(ROOT, "docs", "../src/main.ts", SOURCES)).to.equal(`${SOURCES}/src/main.ts`);
  });

  it("to a copy is known for no page, whatever the file's kind", () => {
    expect(copiedKinds(ROOT)).to.include.members(["hcl", "json", "lua", "sh", "yaml"]);
  });

  it("never leads to the reader's own machine, which the build takes for dead", () => {
    const local = PAGES.flatMap((page) =>
      [
        ...read(page)
          .replaceAll(/^```[^]*?^```$|`[^`]*`/gm, "")
          .matchAll(/https?:\/\/localhost\S*/g),
      ].map(([url]) => `${page}: ${url}`),
    );
    expect(local).to.deep.equal([]);
  });

  it("names sections as code hosts do", () => {
    for (const heading of headingsOf("docs/eks.md")) {
      expect(anchorOf(heading)).to.equal(anchorInTests(heading));
    }
    expect(anchorOf("What it costs, and who causes it")).to.equal("what-it-costs-and-who-causes-it");
  });
});

describe("a picture for light and dark on the site", () => {
  it("is both pictures of every such block in the pages", () => {
    const blocks = PAGES.flatMap((page) =>
      [...read(page).matchAll(/^<picture>[^]*?<\/picture>$/gm)].map(([html]) => ({ page, html })),
    );
    expect(blocks.map(({ page }) => page)).to.include.members(["README.md", "docs/operations.md"]);
    for (const { page, html } of blocks) {
      const picture = readPicture(html);
      expect(picture, page).to.not.equal(undefined);
      expect(picture?.alt, page).to.not.equal("");
      for (const file of [picture?.light ?? "", picture?.dark ?? ""]) {
        expect(existsSync(join(ROOT, dirname(page), file)), `${page}: ${file}`).to.equal(true);
      }
    }
  });

  it("shows one of the two", () => {
    const html = themedHtml({ light: "a.png", dark: "b.png", alt: "what" });
    expect(html).to.match(
      /<img class="only-light" src=".\/a.png" alt="what".*<img class="only-dark" src=".\/b.png"/,
    );
  });

  it("is nothing else of HTML", () => {
    expect(readPicture("<picture>")).to.equal(undefined);
    expect(readPicture("speak of <name>")).to.equal(undefined);
  });
});
