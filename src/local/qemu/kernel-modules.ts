import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";

import { SatelliteError } from "../../base/errors.ts";

/** A kernel module: its name as `depends=` writes it, and its bytes. */
export interface KernelModule {
  readonly name: string;
  readonly content: Buffer;
}

/**
 * Finds modules with everything they depend on, in the order in which they must be loaded. Dependencies come
 * from the modules' own `.modinfo`, because a kernel package that was never installed has no modules.dep.
 *
 * @param directory the release's folder, for example lib/modules/6.1.0-56-cloud-amd64
 * @throws SatelliteError `KernelModuleMissing`
 */
export async function collectModules(directory: string, wanted: readonly string[]): Promise<KernelModule[]> {
  const files = new Map<string, string>();
  for (const file of await readdir(directory, { recursive: true })) {
    if (file.endsWith(".ko")) {
      files.set(moduleName(basename(file, ".ko")), join(directory, file));
    }
  }
  const loaded = new Map<string, KernelModule>();
  const visit = async (name: string): Promise<void> => {
    if (loaded.has(name)) {
      return;
    }
    const file = files.get(name);
    if (file === undefined) {
      throw new SatelliteError(
        "KernelModuleMissing",
        `the kernel in ${directory} has no module ${name}; it may be built in or the kernel is of another kind`,
      );
    }
    const content = await readFile(file);
    for (const dependency of moduleDependencies(content)) {
      await visit(dependency);
    }
    loaded.set(name, { name, content });
  };
  for (const name of wanted) {
    await visit(moduleName(name));
  }
  return [...loaded.values()];
}

/** The kernel treats "-" and "_" in a module's name alike. */
function moduleName(name: string): string {
  return name.replaceAll("-", "_");
}

/** Names in a module's NUL-terminated `depends=` string. */
export function moduleDependencies(module: Buffer): string[] {
  const key = Buffer.from("\0depends=");
  const start = module.indexOf(key);
  if (start === -1) {
    return [];
  }
  const text = module.subarray(start + key.length, module.indexOf(0, start + key.length)).toString("latin1");
  return text
    .split(",")
    .filter((name) => name !== "")
    .map(moduleName);
}
