/**
 * Lays out the root file system of the container image: Node.js, the libraries that it is linked with, and the
 * bundle. Nothing else: no shell, no package manager.
 *
 *   node build/image-root.ts TARGET [BUNDLE]
 *
 * The Node.js that runs this script is the one that the image gets. Its libraries come from this machine, with the
 * records of their Debian packages, which scanners of images look for. build/release/ lays out the same with libraries
 * of pinned packages, for other processors too.
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const ROOT = join(import.meta.dirname, "..");
/** The user of distroless images, by convention. */
const USER = { name: "nonroot", id: 65_532 };

const FILES: Readonly<Record<string, string>> = {
  "etc/passwd": `root:x:0:0:root:/:/\n${USER.name}:x:${USER.id}:${USER.id}::/:/\n`,
  "etc/group": `root:x:0:\n${USER.name}:x:${USER.id}:\n`,
  // As the C library does by itself, but written down: names come from /etc/hosts, then from DNS.
  "etc/nsswitch.conf": "hosts: files dns\n",
};

/** A library and its place in the image. */
export interface Library {
  /** Where the loader looks for it, from the root. */
  readonly path: string;
  /** The file to copy; links are followed. */
  readonly from: string;
}

/** A Debian package of which the image has files. */
export interface PackageRecord {
  readonly name: string;
  /** Its paragraph, as dpkg keeps it. */
  readonly status: string;
  /** Its file of copyrights and licences. */
  readonly copyright: string;
}

/** What Node.js runs on. */
export interface Platform {
  /** The program. Its licence lies in the folder above its own. */
  readonly node: string;
  readonly libraries: readonly Library[];
  readonly packages: readonly PackageRecord[];
}

/**
 * Lays out everything but the bundle, in an empty folder.
 *
 * @throws Error when the licence of Node.js is missing
 */
export function layOutPlatform(target: string, { node, libraries, packages }: Platform): void {
  const licence = join(dirname(node), "../LICENSE");
  if (!existsSync(licence)) {
    throw new Error(`the licence of Node.js is not beside ${node}; use the Node.js of node_modules`);
  }
  const copy = (from: string, to: string): void =>
    cpSync(from, join(target, to), { recursive: true, dereference: true });
  const write = (path: string, content: string): void => {
    mkdirSync(dirname(join(target, path)), { recursive: true });
    writeFileSync(join(target, path), content);
  };
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true, mode: 0o755 });
  for (const [path, content] of Object.entries(FILES)) {
    write(path, content);
  }
  copy(node, "usr/bin/node");
  copy(licence, "usr/share/doc/nodejs/copyright");
  for (const { path, from } of libraries) {
    copy(realpathSync(from), path);
  }
  for (const { name, status, copyright } of packages) {
    write(`var/lib/dpkg/status.d/${name}`, status);
    copy(copyright, `usr/share/doc/${name}/copyright`);
  }
}

/**
 * Puts the bundle where the entry point looks for it.
 *
 * @throws Error when there is none
 */
export function layOutBundle(target: string, bundle: string): void {
  if (!existsSync(join(bundle, "satellites.mjs"))) {
    throw new Error(`there is no bundle in ${bundle}; run "npm run build" first`);
  }
  cpSync(bundle, join(target, "app"), { recursive: true, dereference: true });
}

/** Libraries that a program is linked with, as the paths at which the loader looks for them. */
function librariesOf(program: string): string[] {
  const lines = execFileSync("ldd", [program], { encoding: "utf8" }).split("\n");
  return lines.flatMap((line) => /(?:=> )?(?<path>\/\S+) \(0x/.exec(line)?.groups?.["path"] ?? []);
}

/** Debian package that a file belongs to. dpkg knows some under /lib and others under /usr/lib. */
function packageOf(file: string): string {
  const real = realpathSync(file);
  for (const path of new Set([real, real.replace(/^\/usr/, ""), file])) {
    try {
      const [name = ""] = execFileSync("dpkg-query", ["--search", path], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }).split(": ");
      return name;
    } catch {
      // Perhaps it is known under the next path.
    }
  }
  throw new Error(`${file} belongs to no Debian package; build the image on Debian`);
}

/** What the Node.js that runs this script runs on. */
function ownPlatform(): Platform {
  const node = realpathSync(process.execPath);
  const libraries = librariesOf(node);
  const packages = [...new Set(libraries.map(packageOf))].map((name) => {
    const plain = name.replace(/:.*/, "");
    return {
      name: plain,
      status: execFileSync("dpkg-query", ["--status", name], { encoding: "utf8" }),
      copyright: `/usr/share/doc/${plain}/copyright`,
    };
  });
  return { node, libraries: libraries.map((path) => ({ path, from: path })), packages };
}

if (import.meta.main) {
  const [target, bundle = join(ROOT, "dist")] = process.argv.slice(2);
  if (target === undefined) {
    console.error("usage: node build/image-root.ts TARGET [BUNDLE]");
    process.exit(2);
  }
  layOutPlatform(resolve(target), ownPlatform());
  layOutBundle(resolve(target), resolve(bundle));
}
