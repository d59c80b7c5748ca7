/**
 * Looks at the built site in Chromium, without any network but this machine's: axe finds nothing on the main pages, in
 * light and dark, at desktop and phone width; nothing is wider than the phone; pictures are there, and no markup shows; links
 * lead to pages and sections; search finds a page; no request leaves.
 * The last line is "site: N looks, F failed".
 *
 *   node site/look.ts [--screenshots FOLDER]
 */
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { createReadStream, existsSync, globSync, mkdirSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, normalize } from "node:path";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";
import type { AddressInfo } from "node:net";
import { chromium, type Browser, type Page } from "playwright-core";

const OUT = join(import.meta.dirname, "../dist/site");
const PAGES = [
  "/",
  "/docs/quick-start.html",
  "/docs/eks.html",
  "/docs/concepts.html",
  "/docs/developers.html",
  "/docs/security.html",
  "/docs/operations.html",
  "/docs/reference/satellite.html",
  "/docs/reference/metrics.html",
  "/docs/troubleshooting.html",
  "/docs/faq.html",
  "/docs/comparison.html",
  "/docs/conformance.html",
  "/CHANGELOG.html",
];
const SCHEMES = ["light", "dark"] as const;
const WIDTHS = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } } as const;
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
};

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

/** Serves the folder on a free port of this machine. */
async function serve(folder: string): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? "/", "http://site").pathname));
    const file = join(folder, path.endsWith("/") ? `${path}index.html` : path);
    if (!existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => void server.close(),
  };
}

function chromiumPath(): string {
  try {
    return execFileSync("/bin/sh", ["-c", "command -v chromium || command -v google-chrome"], {
      encoding: "utf8",
    }).trim();
  } catch {
    throw new Error("there is no Chromium to look at the site with; as root: apt-get install chromium");
  }
}

/** What is wrong with a page as it stands, a line each. */
async function troubles(page: Page, axe: string): Promise<string[]> {
  await page.evaluate(axe);
  const violations = (await page.evaluate(
    "axe.run(document, {resultTypes: ['violations']}).then((result) => result.violations)",
  )) as Violation[];
  const overflow = (await page.evaluate(
    "document.documentElement.scrollWidth - document.documentElement.clientWidth",
  )) as number;
  const unseen = (await page.evaluate(`[
    ...[...document.images].filter((image) => image.complete && image.naturalWidth === 0).map(({ src }) => "has no picture " + src),
    ...[...document.querySelectorAll(".vp-doc :is(p, td, li)")]
      .flatMap((each) => /<\\/[a-z]+>|<[a-z]+ [a-z-]+="|<br>/.exec(each.textContent) ?? [])
      .map((tag) => "shows markup: " + tag),
  ]`)) as string[];
  return [
    ...unseen,
    ...violations.flatMap(({ id, nodes }) =>
      nodes.map(
        ({ html, failureSummary = "" }) =>
          `axe ${id}: ${html.slice(0, 160)} ${failureSummary.replaceAll(/\s+/g, " ").slice(0, 200)}`,
      ),
    ),
    ...(overflow > 0 ? [`is ${overflow} pixels wider than the screen`] : []),
  ];
}

/** Links between pages of the site that lead to no file or to no section of it. */
async function deadLinks(): Promise<string[]> {
  const pages = globSync("**/*.html", { cwd: OUT });
  const texts = new Map(
    await Promise.all(pages.map(async (page) => [page, await readFile(join(OUT, page), "utf8")] as const)),
  );
  return [...texts].flatMap(([page, text]) =>
    [...text.matchAll(/<a [^>]*?href="(?!https?:|mailto:)(?<path>[^"#]*)(?:#(?<anchor>[^"]*))?"/g)]
      .filter(({ groups: { path = "", anchor = "" } = {} }) => {
        const from = path.startsWith("/") ? path : join("/", dirname(page), path);
        const target = path === "" ? page : `${from.slice(1)}${/(?:^|\/)$/.test(from) ? "index.html" : ""}`;
        const isThere = anchor === "" || texts.get(target)?.includes(`id="${decodeURIComponent(anchor)}"`);
        return !existsSync(join(OUT, target)) || isThere !== true;
      })
      .map(([link]) => `${page}: ${link}`),
  );
}

async function searchFinds(browser: Browser, url: string): Promise<string[]> {
  const page = await browser.newPage({ viewport: WIDTHS.desktop });
  try {
    await page.goto(url);
    await page.locator("#local-search button").click();
    await page.locator("#localsearch-input").fill("kube-system UID");
    const found = page.locator("#localsearch-list li a");
    await found.first().waitFor();
    const titles = await found.allTextContents();
    return titles.length > 0 ? [] : ["search finds nothing"];
  } finally {
    await page.close();
  }
}

const { values } = parseArgs({ options: { screenshots: { type: "string" } } });
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const site = await serve(OUT);
const browser = await chromium.launch({ executablePath: chromiumPath(), args: ["--no-sandbox"] });
let looks = 0;
let failed = 0;
const report = (what: string, wrong: readonly string[]): void => {
  looks += 1;
  failed += wrong.length > 0 ? 1 : 0;
  for (const line of wrong) console.log(`${what}: ${line}`);
};
try {
  const outside: string[] = [];
  for (const colorScheme of SCHEMES) {
    for (const [width, viewport] of Object.entries(WIDTHS)) {
      const context = await browser.newContext({ colorScheme, viewport });
      context.on("request", (request) => {
        if (!request.url().startsWith(site.url) && !request.url().startsWith("data:"))
          outside.push(request.url());
      });
      const page = await context.newPage();
      for (const path of PAGES) {
        const answer = await page.goto(`${site.url}${path}`, { waitUntil: "networkidle" });
        const wrong =
          answer?.ok() === true ? await troubles(page, axe) : [`answers ${answer?.status() ?? "nothing"}`];
        report(`${path} ${colorScheme} ${width}`, wrong);
        if (values.screenshots !== undefined) {
          mkdirSync(values.screenshots, { recursive: true });
          const name = path.replaceAll("/", "-").replace(".html", "").replace(/^-$/, "-index");
          await page.screenshot({
            path: join(values.screenshots, `site${name}-${colorScheme}-${width}.png`),
          });
        }
      }
      await context.close();
    }
  }
  report("links", await deadLinks());
  report("search", await searchFinds(browser, site.url));
  report("requests to elsewhere", outside);
} finally {
  await browser.close();
  site.close();
}
console.log(`site: ${looks} looks, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
