import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Enums, Models, Serialize, Spec } from "@cyclonedx/cyclonedx-library";
import { type Manifest, nodeVersion } from "./dependencies.ts";

/** A package of other people whose code is in the bundle. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX expression as the package states it. */
  readonly license: string;
  /** Folder from the root, e.g. "node_modules/undici". */
  readonly folder: string;
  /** Subresource integrity of its tarball, as package-lock.json pins it. */
  readonly integrity: string;
}

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly integrity?: string }>>;
}

interface PackageManifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string | { readonly type?: string };
}

/** "node_modules/a/node_modules/@b/c/lib/x.js" lies in the package at "node_modules/a/node_modules/@b/c". */
const PACKAGE_FOLDER = /^(?<folder>.*node_modules\/(?:@[^/]+\/)?[^/]+)\//;

async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, "utf8")) as T;
}

/**
 * The packages that the bundled files belong to, sorted by folder. Not what package.json names: a package of
 * which nothing is used is not there, and one that another brings along is.
 *
 * @param inputs paths of bundled files from the root
 * @throws Error when a package states no licence or is not in package-lock.json
 */
export async function bundledPackages(root: string, inputs: readonly string[]): Promise<BundledPackage[]> {
  const lock = await readJson<LockFile>(join(root, "package-lock.json"));
  const folders = new Set(inputs.flatMap((path) => PACKAGE_FOLDER.exec(path)?.groups?.["folder"] ?? []));
  return Promise.all(
    [...folders].toSorted().map(async (folder) => {
      const { name, version, license } = await readJson<PackageManifest>(join(root, folder, "package.json"));
      const stated = typeof license === "string" ? license : license?.type;
      const integrity = lock.packages[folder]?.integrity;
      if (stated === undefined || integrity === undefined) {
        throw new Error(
          `${folder} states no licence, or package-lock.json does not pin it; look into it by hand`,
        );
      }
      return { name, version, license: stated, folder, integrity };
    }),
  );
}

/** The packages of a finished bundle, as its own bill of materials names them. */
export async function readBundledPackages(root: string, bundle: string): Promise<BundledPackage[]> {
  const bill = await readJson<{ readonly components: readonly { readonly "bom-ref": string }[] }>(
    join(bundle, "sbom.cdx.json"),
  );
  const folders = bill.components.map((component) => component["bom-ref"]);
  return bundledPackages(
    root,
    folders.filter((each) => each.startsWith("node_modules/")).map((each) => `${each}/`),
  );
}

/** A component that is not a package of npm, such as Node.js or a Debian package. */
export interface OtherComponent {
  readonly type: "platform" | "library";
  readonly name: string;
  readonly version: string;
  /** Package URL (purl specification); with it vulnerability databases are asked. */
  readonly purl?: string;
  /** Common Platform Enumeration, version 2.3. */
  readonly cpe?: `cpe:2.3:${string}`;
  readonly sha256?: string;
}

/** Package URL (purl specification, type npm): the "@" of a scope is encoded. */
function packageUrl({ name, version }: BundledPackage): string {
  return `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
}

function hashesOf(integrity: string): Models.HashDictionary {
  const algorithms: Readonly<Record<string, Enums.HashAlgorithm>> = {
    sha512: Enums.HashAlgorithm["SHA-512"],
    sha256: Enums.HashAlgorithm["SHA-256"],
    sha1: Enums.HashAlgorithm["SHA-1"],
  };
  const hashes = integrity.split(" ").flatMap((entry): [Enums.HashAlgorithm, string][] => {
    const [algorithm = "", digest = ""] = entry.split(/-(.*)/s);
    const known = algorithms[algorithm];
    return known === undefined ? [] : [[known, Buffer.from(digest, "base64").toString("hex")]];
  });
  return new Models.HashDictionary(hashes);
}

function libraryOf(each: BundledPackage): Models.Component {
  return new Models.Component(Enums.ComponentType.Library, each.name, {
    version: each.version,
    bomRef: each.folder,
    purl: packageUrl(each),
    licenses: new Models.LicenseRepository([new Models.LicenseExpression(each.license)]),
    hashes: hashesOf(each.integrity),
  });
}

function componentOf({ type, name, version, purl, cpe, sha256 }: OtherComponent): Models.Component {
  const kind = type === "platform" ? Enums.ComponentType.Platform : Enums.ComponentType.Library;
  const hashes: [Enums.HashAlgorithm, string][] =
    sha256 === undefined ? [] : [[Enums.HashAlgorithm["SHA-256"], sha256]];
  return new Models.Component(kind, name, {
    version,
    bomRef: purl ?? `${name}@${version}`,
    purl,
    cpe,
    hashes: new Models.HashDictionary(hashes),
  });
}

/**
 * A CycloneDX 1.6 bill of materials of the bundle and the Node.js that runs it. It holds no time and no serial
 * number, so that the same sources give the same bytes.
 *
 * @param others what else is there, in an image: its libraries
 */
export async function billOfMaterials(
  root: string,
  packages: readonly BundledPackage[],
  others: readonly OtherComponent[] = [],
): Promise<string> {
  const own = await readJson<PackageManifest & Manifest>(join(root, "package.json"));
  const node = nodeVersion(own);
  const bom = new Models.Bom();
  bom.metadata.component = new Models.Component(Enums.ComponentType.Application, own.name, {
    version: own.version,
    bomRef: own.name,
    licenses: new Models.LicenseRepository([new Models.LicenseExpression("Apache-2.0")]),
  });
  const platform = componentOf({
    type: "platform",
    name: "node",
    version: node,
    cpe: `cpe:2.3:a:nodejs:node.js:${node}:*:*:*:*:*:*:*`,
  });
  for (const component of [platform, ...others.map(componentOf), ...packages.map(libraryOf)]) {
    bom.components.add(component);
  }
  const factory = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6);
  return `${new Serialize.JsonSerializer(factory).serialize(bom, { sortLists: true, space: 2 })}\n`;
}

/** Texts of the licences of all packages, which most of them want to travel with their code. */
export async function licenceTexts(root: string, packages: readonly BundledPackage[]): Promise<string> {
  const sections = packages.map(async ({ name, version, license, folder }) => {
    const files = (await readdir(join(root, folder))).filter((file) =>
      /^(?:licen[cs]e|notice|copying)/i.test(file),
    );
    const texts = await Promise.all(
      files.toSorted().map((file) => readFile(join(root, folder, file), "utf8")),
    );
    return [`${name} ${version}, ${license}`, ...texts.map((text) => text.trim())].join("\n\n");
  });
  return `${(await Promise.all(sections)).join(`\n\n${"=".repeat(80)}\n\n`)}\n`;
}
