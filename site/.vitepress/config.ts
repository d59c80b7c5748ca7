import { cpSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { defineConfig, type DefaultTheme, type MarkdownOptions } from "vitepress";
import { readPicture, themedHtml } from "../pictures.ts";
import { anchorOf, copiedKinds, COPIED, targetOf } from "../links.ts";
import { SECTIONS } from "../navigation.ts";

const ROOT = join(import.meta.dirname, "../..");
const OUT = join(ROOT, "dist/site");
const PAGES: readonly string[] = globSync("{*.md,docs/**/*.md,charts/**/*.md}", { cwd: ROOT }).toSorted();
/** Where the sources are, as `https://HOST/OWNER/NAME/blob/main`; links to them are left out when it is not said. */
const SOURCES = process.env["SITE_SOURCES"];
// Files of these kinds are no pages, so links to them are left as they are.
process.env["VITE_EXTRA_EXTENSIONS"] = copiedKinds(ROOT).join(",");
const DECISIONS = "docs/decisions/";

/** Pages that stand for their folder. */
const isIndex = (file: string): boolean => file === "README.md" || file === `${DECISIONS}README.md`;

function urlOf(file: string): string {
  return `/${file.replace(/\.md$/, "").replace(/(^|\/)README$/, (name, slash: string) => (isIndex(file) ? slash : name))}`;
}

function titleOf(file: string): string {
  return /^# (.*)$/m.exec(readFileSync(join(ROOT, file), "utf8"))?.[1] ?? file;
}

function sidebar(): DefaultTheme.SidebarMulti {
  const placed = new Set(SECTIONS.flatMap(({ pages }) => pages.map(({ file }) => file)));
  const lost = [
    ...PAGES.filter((file) => !placed.has(file) && !file.startsWith(DECISIONS)),
    ...[...placed].filter((file) => !PAGES.includes(file)),
  ];
  if (lost.length > 0) {
    throw new Error(`site/navigation.ts and the pages differ: ${lost.join(", ")}`);
  }
  // Sections that fold would be buttons within buttons, which people with screen readers cannot use.
  const all = SECTIONS.map(({ text, pages }) => ({
    text,
    items: pages.map(({ text: name, file }) => ({ text: name, link: urlOf(file) })),
  }));
  const decisions = PAGES.filter((file) => file.startsWith(DECISIONS)).map((file) => ({
    text: titleOf(file),
    link: urlOf(file),
  }));
  return {
    [`/${DECISIONS}`]: [
      { text: "Back", items: [{ text: "All pages", link: "/" }] },
      { text: "Decisions", items: decisions },
    ],
    "/": all,
  };
}

const markdown: MarkdownOptions = {
  // Pages speak of <name> and mean it.
  html: false,
  anchor: { slugify: anchorOf },
  theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
  config: (md) => {
    md.core.ruler.push("links of a code host", (state) => {
      const { relativePath } = state.env as { relativePath: string };
      const folder = dirname(relativePath);
      for (const [index, block] of state.tokens.entries()) {
        const picture = block.type === "inline" ? readPicture(block.content) : undefined;
        if (picture !== undefined) {
          block.type = "html_block";
          block.content = themedHtml(picture);
          block.children = null;
          // Of the paragraph that it was taken for nothing is written.
          for (const around of [state.tokens[index - 1], state.tokens[index + 1]]) {
            if (around !== undefined) around.hidden = true;
          }
          continue;
        }
        // A column without a heading is no heading.
        if (block.type === "th_open" && state.tokens[index + 1]?.content === "") {
          block.tag = "td";
          (state.tokens[index + 2] ?? block).tag = "td";
        }
        let dropped = 0;
        block.children = (block.children ?? []).filter((token) => {
          if (token.type === "link_open") {
            const target = targetOf(ROOT, folder, String(token.attrGet("href")), SOURCES);
            if (target === undefined) {
              dropped += 1;
              return false;
            }
            token.attrSet("href", target);
          } else if (token.type === "text" && token.content === "<br>") {
            token.type = "hardbreak";
          } else if (token.type === "link_close" && dropped > 0) {
            dropped -= 1;
            return false;
          }
          return true;
        });
      }
    });
    // A wide table or block is scrolled in itself, by keyboard too.
    md.renderer.rules["table_open"] = () =>
      '<div class="wide" tabindex="0" role="group" aria-label="table"><table>\n';
    md.renderer.rules["table_close"] = () => "</table></div>\n";
  },
};

export default defineConfig({
  title: "Satellites",
  description:
    "VMs as Kubernetes resources that sleep when nobody uses them and wake for the next gRPC request.",
  lang: "en",
  srcDir: ROOT,
  srcExclude: ["{bench,build,crds,dist,examples,site,src,test,.satellites,.github,.ci}/**"],
  rewrites: { "README.md": "index.md", "docs/decisions/README.md": "docs/decisions/index.md" },
  outDir: OUT,
  cacheDir: join(ROOT, "dist/site-cache"),
  cleanUrls: false,
  lastUpdated: false,
  markdown,
  // Else the compiler reads the target in tsconfig.json of the product, which is newer than it knows.
  vite: { esbuild: { tsconfigRaw: "{}" } },
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    sidebar: sidebar(),
    nav: [
      { text: "Quick start", link: "/docs/quick-start" },
      { text: "EKS", link: "/docs/eks" },
      { text: "Questions", link: "/docs/faq" },
    ],
    docFooter: { prev: "Before", next: "Next" },
  },
  buildEnd: () => {
    for (const folder of COPIED) {
      cpSync(join(ROOT, folder), join(OUT, folder), { recursive: true });
    }
  },
});
