/** What a release is made from: a commit, its time, and packages as the lock files pin them. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type LockedPackage, type Manifest, NODE_PACKAGES, nodeVersion } from "../dependencies.ts";
import type { Architecture } from "./debian.ts";

/** The commit. */
export interface Revision {
  /** Hash of the commit; "+changes" behind it when the tree has others than it. */
  readonly name: string;
  /** Time that all files of the release get, in seconds since 1970 (reproducible-builds.org, SOURCE_DATE_EPOCH). */
  readonly seconds: number;
}

/** package.json as releases read it. */
export interface ReleaseManifest extends Manifest {
  readonly name: string;
  readonly description: string;
  readonly license: string;
  readonly bin: Readonly<Record<string, string>>;
}

export const readManifest = (root: string): ReleaseManifest =>
  JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as ReleaseManifest;

/**
 * @param epoch SOURCE_DATE_EPOCH; the commit's time when undefined
 * @throws Error outside of a git repository
 */
export function revisionOf(root: string, epoch: string | undefined): Revision {
  const git = (...args: string[]): string =>
    execFileSync("git", ["-C", root, ...args], { encoding: "utf8" }).trim();
  const changed = git("status", "--porcelain", "--untracked-files=no") !== "";
  return {
    name: `${git("rev-parse", "HEAD")}${changed ? "+changes" : ""}`,
    seconds: Number(epoch ?? git("log", "-1", "--format=%ct")),
  };
}

/** Node.js for an architecture. */
export interface NodePackage {
  readonly name: string;
  readonly version: string;
  /** Subresource integrity of its archive, as package-lock.json pins it. */
  readonly integrity: string;
  /** The program. */
  readonly program: string;
}

/**
 * Gets Node.js for an architecture from the registry, or from npm's cache of it.
 *
 * @param folder where it is unpacked
 * @throws Error when its hash is not the one in package-lock.json
 */
export function fetchNode(root: string, architecture: Architecture, folder: string): NodePackage {
  const name = NODE_PACKAGES[architecture === "amd64" ? "x64" : "arm64"];
  const version = nodeVersion(readManifest(root));
  const lock = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  };
  const integrity = lock.packages[`node_modules/${name}`]?.integrity ?? "";
  mkdirSync(folder, { recursive: true });
  execFileSync("npm", ["pack", "--silent", `${name}@${version}`], {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const archive = join(folder, `${name}-${version}.tgz`);
  const found = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
  if (found !== integrity) {
    throw new Error(`${name}@${version} is not what package-lock.json pins: ${found}`);
  }
  execFileSync("tar", ["--extract", `--file=${archive}`, `--directory=${folder}`]);
  rmSync(archive);
  const program = join(folder, "package/bin/node");
  if (!existsSync(program)) {
    throw new Error(`${name}@${version} holds no bin/node`);
  }
  return { name, version, integrity, program };
}
