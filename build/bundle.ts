/**
 * Bundles the commands for production into dist/ (`npm run build`): satellites.mjs and kubectl-satellite.mjs with their chunks
 * and source maps, the bill of materials of what went in, and the licences of other people's code in it.
 * `node build/bundle.ts DIRECTORY` writes them there instead; what was in it is removed.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { build, type Metafile } from "esbuild";
import { BUILDKIT_PROTO_FILE, PROTO_FILES } from "../src/guest/proto-files.ts";
import { billOfMaterials, bundledPackages, licenceTexts } from "./bill-of-materials.ts";

const ROOT = join(import.meta.dirname, "..");
const TARGET = resolve(process.argv[2] ?? join(ROOT, "dist"));

const COMMANDS: ReadonlySet<string> = new Set(["satellites.mjs", "kubectl-satellite.mjs"]);

/** Commands that need the source tree (src/commands/source-tree.ts) stay out. */
const SOURCE_TREE_ALONE = ["local", "demo", "local-kubernetes", "local-ec2"].map(
  (command) => `./src/commands/${command}.ts`,
);

/** Some dependencies are CommonJS and `require` Node's own modules, which an ES module has no function for. */
const REQUIRE = `import { createRequire as createBundleRequire } from "node:module";
const require = createBundleRequire(import.meta.url);`;

async function protoFiles(): Promise<Record<string, string>> {
  const names = [...PROTO_FILES, BUILDKIT_PROTO_FILE];
  const texts = names.map((name) => readFile(join(ROOT, "src/guest", name), "utf8"));
  return Object.fromEntries((await Promise.all(texts)).map((text, index) => [names[index], text]));
}

/** What browsers are served, by name (src/page/assets.ts): script and library in one file, both styles in another. */
async function pageAssets(): Promise<{ assets: Record<string, string>; metafile: Metafile }> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: { page: "src/page/browser/page.js" },
    outdir: "dist",
    write: false,
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    legalComments: "none",
    metafile: true,
    logLevel: "warning",
  });
  const styles = ["node_modules/uplot/dist/uPlot.min.css", "src/page/browser/page.css"];
  const texts = await Promise.all(styles.map((path) => readFile(join(ROOT, path), "utf8")));
  return {
    assets: { "page.js": outputFiles.map(({ text }) => text).join(""), "page.css": texts.join("\n") },
    metafile,
  };
}

/** Bundles; returns the files by their path in dist/, and what went in. */
async function bundle(): Promise<{ files: Map<string, Uint8Array>; inputs: string[] }> {
  const page = await pageAssets();
  const { outputFiles, metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: { satellites: "src/main.ts", "kubectl-satellite": "src/kubectl-satellite.ts" },
    // Wherever the files go in the end: source maps name the sources from here.
    outdir: "dist",
    write: false,
    outExtension: { ".js": ".mjs" },
    chunkNames: "chunks/[name]-[hash]",
    bundle: true,
    // A file of its own for each command: the router does not load what the operator needs, such as the AWS SDK.
    // It also keeps esbuild from wrapping modules that are imported dynamically, which cannot be pruned then.
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node24",
    mainFields: ["module", "main"],
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: "linked",
    sourcesContent: false,
    legalComments: "none",
    banner: { js: REQUIRE },
    // A string: an object would be made anew in every module.
    define: {
      BUNDLED_PROTO_FILES: JSON.stringify(JSON.stringify(await protoFiles())),
      BUNDLED_PAGE_ASSETS: JSON.stringify(JSON.stringify(page.assets)),
    },
    external: SOURCE_TREE_ALONE,
    metafile: true,
    logLevel: "warning",
  });
  const dist = join(ROOT, "dist");
  return {
    files: new Map(outputFiles.map(({ path, contents }) => [relative(dist, path), contents])),
    inputs: [page.metafile, metafile].flatMap(({ inputs }) => Object.keys(inputs)),
  };
}

async function writeFiles(files: ReadonlyMap<string, Uint8Array | string>): Promise<void> {
  await rm(TARGET, { recursive: true, force: true });
  for (const [name, content] of files) {
    const path = join(TARGET, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content, { mode: COMMANDS.has(name) ? 0o755 : 0o644 });
  }
}

const { files, inputs } = await bundle();
const packages = await bundledPackages(ROOT, inputs);
await writeFiles(
  new Map<string, Uint8Array | string>([
    ...files,
    ["sbom.cdx.json", await billOfMaterials(ROOT, packages)],
    ["THIRD-PARTY-LICENSES.txt", await licenceTexts(ROOT, packages)],
  ]),
);
const code = [...files].filter(([name]) => name.endsWith(".mjs"));
const bytes = code.reduce((sum, [, content]) => sum + content.byteLength, 0);
const size = `${(bytes / 2 ** 20).toFixed(1)} MiB in ${code.length} files`;
console.log(
  `${[...COMMANDS].map((name) => join(TARGET, name)).join(", ")}: ${size}, with code of ${packages.length} packages`,
);
