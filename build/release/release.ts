/**
 * Builds everything that a release consists of, into dist/release (`make release`), or into the folder that is named.
 * The same commit gives the same bytes: nothing in it knows the time, the machine or the folder that it was built in.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { requireTool } from "../../test/tools/catalog.ts";
import { billOfMaterials, readBundledPackages } from "../bill-of-materials.ts";
import { layOutBundle, layOutPlatform } from "../image-root.ts";
import { packFolder } from "./archive.ts";
import { ARCHITECTURES, librariesFor, readPins } from "./debian.ts";
import { readImageConfig } from "./dockerfile.ts";
import { krewManifest, releaseUrl } from "./krew.ts";
import { type Descriptor, OciLayout } from "./oci-layout.ts";
import { debianUrl, provenanceOf, type Subject } from "./provenance.ts";
import { fetchNode, type NodePackage, readManifest, revisionOf } from "./sources.ts";

const ROOT = resolve(import.meta.dirname, "../..");

const sha256Of = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");

/** Gives every file and folder one time. */
function setTimes(folder: string, seconds: number): void {
  for (const path of [
    folder,
    ...readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  ]) {
    utimesSync(path, seconds, seconds);
  }
}

const manifest = readManifest(ROOT);
const { version } = manifest;
const target = resolve(process.argv[2] ?? join(ROOT, "dist/release"));
const revision = revisionOf(ROOT, process.env["SOURCE_DATE_EPOCH"]);
const scratch = mkdtempSync(join(tmpdir(), "satellites-release-"));
const bundle = join(scratch, "bundle");
const out = (name: string): string => join(target, name);

/** The image for all architectures: one layer of Node.js and its libraries for each, and one of the bundle for all. */
function buildImage(): { index: Descriptor; images: Descriptor[]; node: NodePackage[] } {
  const layout = new OciLayout(join(scratch, "layout"), scratch);
  const app = join(scratch, "app-layer");
  layOutBundle(app, bundle);
  const config = readImageConfig(ROOT);
  const labels = { ...config.Labels, "org.opencontainers.image.revision": revision.name };
  const node: NodePackage[] = [];
  const images = ARCHITECTURES.map((architecture) => {
    const nodePackage = fetchNode(ROOT, architecture, join(scratch, `node-${architecture}`));
    node.push(nodePackage);
    const platform = join(scratch, `platform-${architecture}`);
    const debian = librariesFor(architecture, nodePackage.program, join(scratch, `debian-${architecture}`));
    layOutPlatform(platform, { node: nodePackage.program, ...debian });
    return layout.addImage(
      architecture,
      { ...config, Labels: labels },
      [
        // Time 0: it changes with what is pinned alone, and a node that has it need not get it again.
        { folder: platform, seconds: 0, description: `Node.js ${nodePackage.version} and its libraries` },
        { folder: app, seconds: revision.seconds, description: `satellites ${version}` },
      ],
      revision.seconds,
    );
  });
  const index = layout.finish(images, labels, version);
  packFolder(join(scratch, "layout"), out(`satellites-${version}-image.oci.tar`), revision.seconds);
  return { index, images, node };
}

function packageChart(): void {
  const chart = join(scratch, "chart/satellites");
  cpSync(join(ROOT, "charts/satellites"), chart, { recursive: true });
  // Helm keeps the times of files.
  setTimes(chart, revision.seconds);
  execFileSync(requireTool("helm"), ["package", chart, "--destination", scratch], { stdio: "pipe" });
  renameSync(join(scratch, `satellites-${version}.tgz`), out(`satellites-chart-${version}.tgz`));
}

/** Both definitions as one file, for `kubectl apply --server-side --filename`. */
function joinCrds(): void {
  const files = globSync(join(ROOT, "crds/*.yaml")).toSorted();
  const texts = files.map((file) => readFileSync(file, "utf8").replace(/^---\n/, ""));
  writeFileSync(out(`satellites-crds-${version}.yaml`), texts.join("---\n"));
}

/** The command as a package of npm, with everything that it needs but Node.js in it. */
function packCommand(): void {
  const folder = join(scratch, "npm");
  cpSync(bundle, join(folder, "dist"), { recursive: true });
  for (const name of ["README.md", "LICENSE", "CHANGELOG.md"]) {
    cpSync(join(ROOT, name), join(folder, name));
  }
  const { name, description, license, bin, engines } = manifest;
  const own = { name, version, description, license, type: "module", bin, engines };
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(own, undefined, 2)}\n`);
  // npm keeps the modes of files, which depend on the umask.
  execFileSync("chmod", ["--recursive", "u=rwX,go=rX", folder]);
  execFileSync("npm", ["pack", "--silent", "--pack-destination", scratch], { cwd: folder, stdio: "pipe" });
  renameSync(join(scratch, `${name}-${version}.tgz`), out(`satellites-cli-${version}.tgz`));
}

/** By which krew installs the command. The workflow says which repository's release page the files go to. */
function writeKrewManifest(): void {
  const archive = `satellites-cli-${version}.tgz`;
  const repository = process.env["GITHUB_REPOSITORY"] ?? "OWNER/satellites";
  const input = { version, archive, url: releaseUrl(repository, version), sha256: sha256Of(out(archive)) };
  writeFileSync(out("satellite.yaml"), krewManifest(input));
}

async function writeBill(): Promise<number> {
  const debian = readPins().packages.map(({ name, version: pinned, sha256, ...rest }) => ({
    type: "library" as const,
    name,
    version: pinned,
    purl: debianUrl({ name, version: pinned, sha256, ...rest }),
    sha256,
  }));
  const text = await billOfMaterials(ROOT, await readBundledPackages(ROOT, bundle), debian);
  writeFileSync(out(`satellites-${version}.cdx.json`), text);
  return (JSON.parse(text) as { components: unknown[] }).components.length;
}

if (!readFileSync(join(ROOT, "CHANGELOG.md"), "utf8").includes(`\n## ${version}`)) {
  throw new Error(
    `CHANGELOG.md says nothing of ${version}; write what changed, or change the version in package.json`,
  );
}
try {
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  execFileSync(process.execPath, [join(ROOT, "build/bundle.ts"), bundle], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const { index, images, node } = buildImage();
  packageChart();
  joinCrds();
  packCommand();
  writeKrewManifest();
  const components = await writeBill();

  const files = readdirSync(target).toSorted();
  const subjects: Subject[] = [
    ...files.map((name) => ({ name, digest: { sha256: sha256Of(out(name)) } })),
    ...[index, ...images].map(({ digest, platform }) => ({
      name: platform === undefined ? "image" : `image ${platform.os}/${platform.architecture}`,
      digest: { sha256: digest.replace("sha256:", "") },
    })),
  ];
  const lockSha256 = sha256Of(join(ROOT, "package-lock.json"));
  const input = { version, revision, subjects, lockSha256, node, debian: readPins().packages };
  writeFileSync(
    out(`satellites-${version}.provenance.json`),
    `${JSON.stringify(provenanceOf(input), undefined, 2)}\n`,
  );
  const all = readdirSync(target).toSorted();
  writeFileSync(out("SHA256SUMS"), all.map((name) => `${sha256Of(out(name))}  ${name}\n`).join(""));

  for (const name of [...all, "SHA256SUMS"]) {
    const size = `${(statSync(out(name)).size / 2 ** 20).toFixed(2)} MiB`;
    console.log(`${sha256Of(out(name)).slice(0, 16)}  ${size.padStart(11)}  ${name}`);
  }
  for (const { digest, platform } of images) {
    console.log(`${digest}  ${platform?.os}/${platform?.architecture}`);
  }
  console.log(`${index.digest}  index of both`);
  console.log(
    `release: ${version} of ${revision.name.slice(0, 12)}, ${all.length + 1} files in ${relative(process.cwd(), target) || "."}, ${components} components`,
  );
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
