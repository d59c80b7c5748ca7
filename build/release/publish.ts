/**
 * Pushes what `make release` built to a registry: the image as REGISTRY/satellites and the chart as
 * REGISTRY/charts/satellites, each under its version. The client must be logged in (`crane auth login`, `helm registry login`).
 *
 *   node build/release/publish.ts REGISTRY [FOLDER] [--plain-http]
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { requireTool } from "../../test/tools/catalog.ts";
import { readManifest } from "./sources.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** @throws Error when a file is missing or is not what SHA256SUMS says */
function checkSums(folder: string): void {
  const lines = readFileSync(join(folder, "SHA256SUMS"), "utf8").trim().split("\n");
  for (const line of lines) {
    const [sum = "", name = ""] = line.split(/ {2}/);
    if (
      createHash("sha256")
        .update(readFileSync(join(folder, name)))
        .digest("hex") !== sum
    ) {
      throw new Error(`${name} is not what SHA256SUMS says; run make release again`);
    }
  }
}

const { values, positionals } = parseArgs({
  options: { "plain-http": { type: "boolean", default: false } },
  allowPositionals: true,
});
const [registry, folder = join(ROOT, "dist/release")] = positionals;
if (registry === undefined) {
  console.error("say where to: make publish REGISTRY=registry.example/team");
  process.exit(2);
}
const { version } = readManifest(ROOT);
checkSums(folder);
const plain = values["plain-http"];
const layout = mkdtempSync(join(tmpdir(), "satellites-layout-"));
try {
  const archive = join(folder, `satellites-${version}-image.oci.tar`);
  execFileSync("tar", ["--extract", `--file=${archive}`, `--directory=${layout}`]);
  const image = `${registry}/satellites:${version}`;
  const insecure = plain ? ["--insecure"] : [];
  execFileSync(requireTool("crane"), ["push", ...insecure, layout, image], { stdio: "inherit" });
  const chart = join(folder, `satellites-chart-${version}.tgz`);
  execFileSync(
    requireTool("helm"),
    ["push", chart, `oci://${registry}/charts`, ...(plain ? ["--plain-http"] : [])],
    { stdio: "inherit" },
  );
} finally {
  rmSync(layout, { recursive: true, force: true });
}
