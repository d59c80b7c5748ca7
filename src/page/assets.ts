import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

/** Files that the document asks for, by name. */
export type Assets = Readonly<Record<string, string>>;

/** JSON of the assets, for a program without files; build/bundle.ts puts it in place of this name. */
declare const BUNDLED_PAGE_ASSETS: string;

const BROWSER = join(import.meta.dirname, "browser");

/** The page's script, the library that draws its timeline, and the style of both: from the bundle, else from the source tree. */
export function readAssets(): Assets {
  return typeof BUNDLED_PAGE_ASSETS === "undefined"
    ? assetsOfSourceTree()
    : (JSON.parse(BUNDLED_PAGE_ASSETS) as Assets);
}

function assetsOfSourceTree(): Assets {
  const { resolve } = createRequire(import.meta.url);
  const library = (name: string): string => readFileSync(resolve(`uplot/dist/${name}`), "utf8");
  const own = (name: string): string => readFileSync(join(BROWSER, name), "utf8");
  return {
    "page.css": `${library("uPlot.min.css")}\n${own("page.css")}`,
    // Browsers find no packages.
    "page.js": own("page.js").replaceAll('from "uplot"', 'from "./uplot.js"'),
    "timeline.js": own("timeline.js").replaceAll('from "uplot"', 'from "./uplot.js"'),
    "uplot.js": library("uPlot.esm.js"),
  };
}
