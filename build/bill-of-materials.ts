import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
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

/** Package URL (purl specification, type npm): the "@" of a scope is encoded. */
function packageUrl({ name, version }: BundledPackage): string {
  return `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
}

function hashes(integrity: string): { alg: string; content: string }[] {
  const algorithms: Readonly<Record<string, string>> = {
    sha512: "SHA-512",
    sha256: "SHA-256",
    sha1: "SHA-1",
  };
  return integrity.split(" ").flatMap((entry) => {
    const [algorithm = "", digest = ""] = entry.split(/-(.*)/s);
    const alg = algorithms[algorithm];
    return alg === undefined ? [] : [{ alg, content: Buffer.from(digest, "base64").toString("hex") }];
  });
}

/**
 * A CycloneDX 1.6 bill of materials of the bundle and the Node.js that runs it. It holds no time and no serial
 * number, so that the same sources give the same bytes.
 */
export async function billOfMaterials(root: string, packages: readonly BundledPackage[]): Promise<string> {
  const own = await readJson<PackageManifest & Manifest>(join(root, "package.json"));
  const component = { type: "application", name: own.name, version: own.version };
  const node = nodeVersion(own);
  return `${JSON.stringify(
    {
      bomFormat: "CycloneDX",
      specVersion: "1.6",
      version: 1,
      metadata: {
        component: { ...component, "bom-ref": own.name, licenses: [{ expression: own.license }] },
      },
      components: [
        {
          type: "platform",
          name: "node",
          version: node,
          "bom-ref": `node@${node}`,
          cpe: `cpe:2.3:a:nodejs:node.js:${node}:*:*:*:*:*:*:*`,
        },
        ...packages.map((each) => ({
          type: "library",
          name: each.name,
          version: each.version,
          "bom-ref": each.folder,
          purl: packageUrl(each),
          licenses: [{ expression: each.license }],
          hashes: hashes(each.integrity),
        })),
      ],
    },
    undefined,
    2,
  )}\n`;
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
