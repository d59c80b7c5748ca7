/**
 * The Debian packages of which the image has libraries. debian-packages.json pins them by version and hash, so that
 * one commit gives one image. They come through apt, which checks Debian's signatures, with lists and a state of its own, so
 * that nothing of this machine changes and packages for other processors can be had.
 *
 *   node build/release/debian.ts --update    pins what Debian offers today
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Library, PackageRecord } from "../image-root.ts";
import { loaderOf, neededLibraries } from "./needed-libraries.ts";

/** Debian's names of processors. */
export const ARCHITECTURES = ["amd64", "arm64"] as const;

export type Architecture = (typeof ARCHITECTURES)[number];

/** A package as it is pinned. */
export interface PinnedPackage {
  readonly architecture: Architecture;
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
}

interface Pins {
  /** Debian's release. */
  readonly suite: string;
  readonly packages: readonly PinnedPackage[];
}

/** The C library, the C++ library, what both stand on, and the package that holds the copyright of two of them. */
const NAMES = ["gcc-12-base", "libc6", "libgcc-s1", "libstdc++6"];
const TRIPLETS: Readonly<Record<Architecture, string>> = {
  amd64: "x86_64-linux-gnu",
  arm64: "aarch64-linux-gnu",
};
const PINS = join(import.meta.dirname, "debian-packages.json");
const CACHE = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "satellites", "debian");

export const readPins = (): Pins => JSON.parse(readFileSync(PINS, "utf8")) as Pins;

const sha256Of = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");

/** Sources of apt on this machine that name the suite. */
function sourcesOf(suite: string): string[] {
  const files = ["/etc/apt/sources.list", ...globSync("/etc/apt/sources.list.d/*.{list,sources}")];
  const found = files.filter(
    (file) => existsSync(file) && new RegExp(`\\s${suite}\\s`).test(readFileSync(file, "utf8")),
  );
  if (found.length === 0) {
    throw new Error(`apt has no source of Debian ${suite} here; build the release on Debian ${suite}`);
  }
  return found;
}

/** Downloads packages into a folder, each given as apt names it: "libc6" or "libc6=2.36-9". */
function download(
  architecture: Architecture,
  suite: string,
  wanted: readonly string[],
  folder: string,
): void {
  const state = mkdtempSync(join(tmpdir(), "satellites-apt-"));
  try {
    for (const part of ["lists/partial", "cache/archives/partial", "parts"]) {
      mkdirSync(join(state, part), { recursive: true });
    }
    for (const file of sourcesOf(suite)) {
      writeFileSync(join(state, "parts", basename(file)), readFileSync(file));
    }
    writeFileSync(join(state, "status"), "");
    const settings = {
      "Dir::Etc::SourceList": "/dev/null",
      "Dir::Etc::SourceParts": join(state, "parts"),
      "Dir::State": state,
      "Dir::State::Lists": join(state, "lists"),
      "Dir::State::status": join(state, "status"),
      "Dir::Cache": join(state, "cache"),
      "APT::Architecture": architecture,
      "APT::Architectures": architecture,
      "APT::Sandbox::User": "root",
      "Acquire::Languages": "none",
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ["--option", `${name}=${value}`]);
    for (const args of [["update"], ["download", ...wanted]]) {
      execFileSync("apt-get", ["--quiet=2", ...options, ...args], {
        cwd: folder,
        stdio: ["ignore", "ignore", "pipe"],
      });
    }
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
}

/**
 * The pinned packages of an architecture as files, from the cache or from Debian.
 *
 * @throws Error when Debian no longer offers one, or it differs from what was pinned
 */
function fetchPinned(architecture: Architecture): { pin: PinnedPackage; file: string }[] {
  const { suite, packages } = readPins();
  const pins = packages
    .filter((pin) => pin.architecture === architecture)
    .map((pin) => ({ pin, file: join(CACHE, `${pin.sha256}.deb`) }));
  const missing = pins.filter(({ file }) => !existsSync(file)).map(({ pin }) => pin);
  if (missing.length > 0) {
    mkdirSync(CACHE, { recursive: true });
    const folder = mkdtempSync(join(CACHE, "download-"));
    try {
      download(
        architecture,
        suite,
        missing.map(({ name, version }) => `${name}=${version}`),
        folder,
      );
      for (const file of globSync(join(folder, "*.deb"))) {
        renameSync(file, join(CACHE, `${sha256Of(file)}.deb`));
      }
    } catch (error) {
      const names = missing.map(({ name, version }) => `${name} ${version}`).join(", ");
      const advice = "pin what it offers with: node build/release/debian.ts --update";
      throw new Error(`Debian does not offer ${names} for ${architecture}; ${advice}`, { cause: error });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  for (const { pin, file } of pins) {
    if (!existsSync(file) || sha256Of(file) !== pin.sha256) {
      throw new Error(`${pin.name} ${pin.version} for ${architecture} is not what was pinned; see ${PINS}`);
    }
  }
  return pins;
}

/**
 * The libraries that a program for an architecture is linked with, and the packages that they come from.
 *
 * @param folder where the packages are unpacked
 * @throws Error when a library is in none of the packages
 */
export function librariesFor(
  architecture: Architecture,
  program: string,
  folder: string,
): { libraries: Library[]; packages: PackageRecord[] } {
  const pinned = fetchPinned(architecture);
  for (const { file } of pinned) {
    execFileSync("dpkg-deb", ["--extract", file, folder]);
  }
  const triplet = TRIPLETS[architecture];
  const places = [`lib/${triplet}`, `usr/lib/${triplet}`, "lib64", "lib"];
  const find = (name: string): string | undefined =>
    places.map((place) => `${place}/${name}`).find((path) => existsSync(join(folder, path)));
  const libraries = new Map<string, Library>();
  // The kernel looks for the loader where the program says, which in Debian's package is a link to its place.
  const loader = loaderOf(readFileSync(program))?.slice(1);
  const visit = (file: string): void => {
    for (const name of neededLibraries(readFileSync(file))) {
      const path = find(name);
      if (path === undefined) {
        throw new Error(`${file} needs ${name}, which none of ${NAMES.join(", ")} has`);
      }
      if (!libraries.has(path)) {
        const isLoader = loader !== undefined && basename(loader) === name;
        libraries.set(path, { path: isLoader ? loader : path, from: join(folder, path) });
        visit(join(folder, path));
      }
    }
  };
  visit(program);
  const packages = pinned.map(({ pin, file }) => ({
    name: pin.name,
    status: execFileSync("dpkg-deb", ["--field", file], { encoding: "utf8" }),
    copyright: join(folder, "usr/share/doc", pin.name, "copyright"),
  }));
  return { libraries: [...libraries.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1)), packages };
}

/** Pins what Debian offers now. */
function update(): void {
  const { suite } = readPins();
  const packages = ARCHITECTURES.flatMap((architecture) => {
    const folder = mkdtempSync(join(tmpdir(), "satellites-debian-"));
    download(architecture, suite, NAMES, folder);
    const pins = globSync(join(folder, "*.deb"))
      .toSorted()
      .map((file): PinnedPackage => {
        const field = (name: string): string =>
          execFileSync("dpkg-deb", ["--field", file, name], { encoding: "utf8" }).trim();
        return { architecture, name: field("Package"), version: field("Version"), sha256: sha256Of(file) };
      });
    rmSync(folder, { recursive: true, force: true });
    return pins;
  });
  writeFileSync(PINS, `${JSON.stringify({ suite, packages }, undefined, 2)}\n`);
}

if (import.meta.main) {
  if (process.argv[2] === "--update") {
    update();
  } else {
    console.error("usage: node build/release/debian.ts --update");
    process.exitCode = 2;
  }
}
