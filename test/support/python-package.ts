import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import { findOnPath } from "../tools/catalog.ts";

const execute = promisify(execFile);

/** A package of the Python Package Index. */
export interface PythonPackage {
  readonly name: string;
  readonly version: string;
  /** What `import` calls it. */
  readonly module: string;
}

/** A Python that has the package, installed into the cache on first use; or why there is none. */
export async function pythonWith({
  name,
  version,
  module,
}: PythonPackage): Promise<string | { readonly missing: string }> {
  const python = findOnPath("python3");
  if (python === undefined) {
    return { missing: "python3 is not installed" };
  }
  const cache = process.env["XDG_CACHE_HOME"] ?? path.join(homedir(), ".cache");
  const folder = path.join(cache, "satellites", `${name}-${version}`);
  const own = path.join(folder, "bin", "python");
  if (existsSync(own) && spawnSync(own, ["-c", `import ${module}`]).status === 0) {
    return own;
  }
  mkdirSync(path.dirname(folder), { recursive: true });
  try {
    await execute(python, ["-m", "venv", "--clear", folder]);
    await execute(own, ["-m", "pip", "install", "--quiet", `${name}==${version}`]);
  } catch (error) {
    return { missing: `${name} ${version} cannot be installed: ${String(error)}` };
  }
  return own;
}
