/**
 * Lays out the root file system of the container image: Node.js, the libraries that it is linked with, and the
 * bundle. Nothing else: no shell, no package manager.
 *
 *   node build/image-root.ts TARGET [BUNDLE]
 *
 * The Node.js that runs this script is the one that the image gets. Its libraries come from this machine, with the
 * records of their Debian packages, which scanners of images look for.
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

function licenceOf(node: string): string {
  const path = join(dirname(node), "../LICENSE");
  if (!existsSync(path)) {
    throw new Error(`the licence of Node.js is not beside ${node}; use the Node.js of node_modules`);
  }
  return path;
}

function layOut(target: string, bundle: string): void {
  if (!existsSync(join(bundle, "satellites.mjs"))) {
    throw new Error(`there is no bundle in ${bundle}; run "npm run build" first`);
  }
  const copy = (from: string, to: string): void =>
    cpSync(from, join(target, to), { recursive: true, dereference: true });
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true, mode: 0o755 });
  for (const [path, content] of Object.entries(FILES)) {
    mkdirSync(join(target, dirname(path)), { recursive: true });
    writeFileSync(join(target, path), content);
  }
  const node = realpathSync(process.execPath);
  copy(node, "usr/bin/node");
  copy(licenceOf(node), "usr/share/doc/nodejs/copyright");
  const libraries = librariesOf(node);
  for (const library of libraries) {
    copy(realpathSync(library), library);
  }
  for (const name of new Set(libraries.map(packageOf))) {
    const plain = name.replace(/:.*/, "");
    const status = execFileSync("dpkg-query", ["--status", name], { encoding: "utf8" });
    mkdirSync(join(target, "var/lib/dpkg/status.d"), { recursive: true });
    writeFileSync(join(target, "var/lib/dpkg/status.d", plain), status);
    copy(`/usr/share/doc/${plain}/copyright`, `usr/share/doc/${plain}/copyright`);
  }
  copy(bundle, "app");
}

const [target, bundle = join(ROOT, "dist")] = process.argv.slice(2);
if (target === undefined) {
  console.error("usage: node build/image-root.ts TARGET [BUNDLE]");
  process.exit(2);
}
layOut(resolve(target), resolve(bundle));
