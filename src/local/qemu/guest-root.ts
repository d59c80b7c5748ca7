import { chmod, copyFile, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { ETC_FILES, GUEST_PROGRAM_DIRECTORY, mainInit } from "./guest-files.ts";
import { GUEST_ENTRY, type GuestProgram } from "./guest-programs.ts";
import type { ToolPaths } from "./prerequisites.ts";
import { runTool } from "./run-tool.ts";

/** What goes into the guest's root file system. */
export interface GuestRootInputs {
  /** The Node.js executable that runs the service in the guest. */
  readonly nodePath: string;
  readonly program: GuestProgram;
  readonly tools: ToolPaths;
}

const EMPTY_DIRECTORIES = [
  "proc",
  "sys",
  "dev",
  "run",
  "tmp",
  "work",
  "disk",
  "root",
  "sbin",
  "bin",
  "usr/bin",
];

/** Lays the guest's root file system out below `root`, an existing empty folder. */
export async function layOutGuestRoot(root: string, inputs: GuestRootInputs): Promise<void> {
  for (const directory of EMPTY_DIRECTORIES) {
    await mkdir(join(root, directory), { recursive: true });
  }
  await installBusybox(root, inputs.tools["busybox"] ?? "busybox");
  await installExecutable(inputs.nodePath, join(root, "usr/bin/node"));
  const libraries = await runTool(inputs.tools["ldd"] ?? "ldd", [inputs.nodePath]);
  for (const library of parseLdd(libraries)) {
    await installExecutable(library, join(root, library));
  }
  const programDirectory = join(root, GUEST_PROGRAM_DIRECTORY);
  await mkdir(programDirectory, { recursive: true });
  for (const [name, content] of inputs.program) {
    await writeFile(join(programDirectory, name), content);
  }
  await mkdir(join(root, "etc"));
  for (const [name, content] of Object.entries(ETC_FILES)) {
    await writeFile(join(root, "etc", name), content);
  }
  await writeFile(join(root, "sbin/init"), mainInit(GUEST_ENTRY), { mode: 0o755 });
}

/** Absolute paths of the libraries, and the loader, in the output of ldd(1). */
export function parseLdd(output: string): string[] {
  return output
    .split("\n")
    .map((line) => /(?:=>\s*|^\s*)(\/\S+)/.exec(line)?.[1])
    .filter((path) => path !== undefined);
}

async function installExecutable(source: string, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await copyFile(source, target);
  await chmod(target, 0o755);
}

async function installBusybox(root: string, busybox: string): Promise<void> {
  await installExecutable(busybox, join(root, "bin/busybox"));
  const applets = (await runTool(busybox, ["--list"])).split("\n");
  for (const applet of applets.filter((name) => name !== "" && name !== "busybox")) {
    await symlink("busybox", join(root, "bin", applet));
  }
}
