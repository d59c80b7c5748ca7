import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";

import { SatelliteError } from "../../base/errors.ts";
import { runTool } from "./run-tool.ts";

/** A program that the hypervisor or the image builder runs, and the Debian package that brings it. */
export interface Prerequisite {
  readonly program: string;
  readonly debianPackage: string;
  /** What it is for, as the end of "needed to …". */
  readonly purpose: string;
}

/** Everything that must be there to build the guest image and run VMs. */
export const PREREQUISITES: readonly Prerequisite[] = [
  { program: "qemu-system-x86_64", debianPackage: "qemu-system-x86", purpose: "run virtual machines" },
  { program: "busybox", debianPackage: "busybox-static", purpose: "give the guest its shell and tools" },
  { program: "mkfs.ext4", debianPackage: "e2fsprogs", purpose: "make the guest's file systems" },
  { program: "apt-get", debianPackage: "apt", purpose: "download the guest's kernel" },
  { program: "dpkg-deb", debianPackage: "dpkg", purpose: "unpack the guest's kernel" },
  {
    program: "ldd",
    debianPackage: "libc-bin",
    purpose: "find the libraries that Node.js needs in the guest",
  },
];

/** What a stock image needs beside these. */
export const STOCK_PREREQUISITES: readonly Prerequisite[] = [
  ...PREREQUISITES,
  { program: "debootstrap", debianPackage: "debootstrap", purpose: "make a stock Debian image" },
];

/** Where programs lie: absolute paths by program name. */
export type ToolPaths = Readonly<Record<string, string>>;

/** Result of {@link findPrerequisites}. */
export interface PrerequisiteReport {
  readonly found: ToolPaths;
  readonly missing: readonly Prerequisite[];
}

/** Directories that hold administrators' programs and are often not on an ordinary user's PATH. */
const EXTRA_DIRECTORIES = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/**
 * Looks for every prerequisite.
 *
 * @param path the PATH variable's value
 */
export async function findPrerequisites(
  path: string,
  prerequisites: readonly Prerequisite[] = PREREQUISITES,
): Promise<PrerequisiteReport> {
  const directories = [...path.split(delimiter).filter((part) => part !== ""), ...EXTRA_DIRECTORIES];
  const found: Record<string, string> = {};
  const missing: Prerequisite[] = [];
  for (const prerequisite of prerequisites) {
    const file = await findProgram(prerequisite.program, directories);
    if (file === undefined) {
      missing.push(prerequisite);
    } else {
      found[prerequisite.program] = file;
    }
  }
  return { found, missing };
}

async function findProgram(program: string, directories: readonly string[]): Promise<string | undefined> {
  for (const directory of directories) {
    const file = join(directory, program);
    try {
      await access(file, constants.X_OK);
      return file;
    } catch {
      // Not in this directory: the next one is tried. The caller reports when none has it.
    }
  }
  return undefined;
}

/** The error that says what is missing, what for, and which command installs it. */
export function missingPrerequisitesError(missing: readonly Prerequisite[]): SatelliteError {
  const reasons = missing.map(({ program, purpose }) => `${program} (needed to ${purpose})`).join(", ");
  const packages = packagesOf(missing).join(" ");
  return new SatelliteError(
    "PrerequisitesMissing",
    `not found: ${reasons}. On Debian, install them with: apt-get install --no-install-recommends ${packages}`,
  );
}

function packagesOf(missing: readonly Prerequisite[]): string[] {
  return [...new Set(missing.map(({ debianPackage }) => debianPackage))];
}

/** How {@link ensurePrerequisites} may act. */
export interface EnsureOptions {
  /** The PATH variable's value. */
  readonly path: string;
  /** Whether packages may be installed; only done as root and where apt-get is there. */
  readonly mayInstall: boolean;
  readonly isRoot: boolean;
  /** Called with one line for each step that may take longer than a second. */
  readonly progress: (line: string) => void;
  readonly prerequisites?: readonly Prerequisite[];
}

/**
 * Finds every prerequisite, installing Debian packages when it may.
 *
 * @throws SatelliteError `PrerequisitesMissing` that names packages and command; `ToolFailed` from apt-get
 */
export async function ensurePrerequisites(options: EnsureOptions): Promise<ToolPaths> {
  const { path, prerequisites = PREREQUISITES } = options;
  const first = await findPrerequisites(path, prerequisites);
  if (first.missing.length === 0) {
    return first.found;
  }
  const aptGet = first.found["apt-get"];
  if (!options.mayInstall || !options.isRoot || aptGet === undefined) {
    throw missingPrerequisitesError(first.missing);
  }
  const packages = packagesOf(first.missing);
  const env = {
    PATH: [path, ...EXTRA_DIRECTORIES].join(delimiter),
    DEBIAN_FRONTEND: "noninteractive",
    LC_ALL: "C",
  };
  options.progress("updating the list of Debian packages (apt-get update)");
  await runTool(aptGet, ["update", "--quiet"], { env });
  options.progress(`installing ${packages.join(", ")} (apt-get install)`);
  await runTool(aptGet, ["install", "--yes", "--quiet", "--no-install-recommends", ...packages], { env });
  const second = await findPrerequisites(path, prerequisites);
  if (second.missing.length > 0) {
    throw missingPrerequisitesError(second.missing);
  }
  return second.found;
}
