/**
 * Bundles the `satellites` command for production into dist/ (`npm run build`): satellites.mjs with its chunks
 * and source maps, the bill of materials of what went in, and the licences of other people's code in it.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build, type Metafile } from "esbuild";
import { PROTO_FILES } from "../src/guest/proto-files.ts";
import { billOfMaterials, bundledPackages, licenceTexts } from "./bill-of-materials.ts";

const ROOT = join(import.meta.dirname, "..");
const DIST = join(ROOT, "dist");

/** Commands that need the source tree (src/commands/source-tree.ts) stay out. */
const SOURCE_TREE_ALONE = ["local", "demo", "local-kubernetes", "local-ec2"].map(
  (command) => `./src/commands/${command}.ts`,
);

/** Some dependencies are CommonJS and `require` Node's own modules, which an ES module has no function for. */
const REQUIRE = `import { createRequire as createBundleRequire } from "node:module";
const require = createBundleRequire(import.meta.url);`;

async function protoFiles(): Promise<Record<string, string>> {
  const texts = PROTO_FILES.map((name) => readFile(join(ROOT, "src/guest", name), "utf8"));
  return Object.fromEntries((await Promise.all(texts)).map((text, index) => [PROTO_FILES[index], text]));
}

/** Bundles; returns what went in. */
async function bundle(): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: { satellites: "src/main.ts" },
    outdir: "dist",
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
    define: { BUNDLED_PROTO_FILES: JSON.stringify(await protoFiles()) },
    external: SOURCE_TREE_ALONE,
    metafile: true,
    logLevel: "warning",
  });
  return metafile;
}

await rm(DIST, { recursive: true, force: true });
await mkdir(DIST, { recursive: true });
const metafile = await bundle();
const packages = await bundledPackages(ROOT, Object.keys(metafile.inputs));
await writeFile(join(DIST, "sbom.cdx.json"), await billOfMaterials(ROOT, packages));
await writeFile(join(DIST, "THIRD-PARTY-LICENSES.txt"), await licenceTexts(ROOT, packages));
const files = Object.entries(metafile.outputs).filter(([path]) => path.endsWith(".mjs"));
const bytes = files.reduce((sum, [, output]) => sum + output.bytes, 0);
console.log(
  `dist/satellites.mjs with chunks: ${(bytes / 2 ** 20).toFixed(1)} MiB of code from ${packages.length} packages`,
);
