import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

import { findOnPath } from "../tools/catalog.ts";

const execute = promisify(execFile);

/** Version of grpcio, the Python binding of the C core; other languages' clients are bindings of it too. */
const GRPCIO_VERSION = "1.76.0";

/** A Python that has grpcio, installed into the cache on first use; or why there is none. */
export async function pythonWithGrpc(): Promise<string | { readonly missing: string }> {
  const python = findOnPath("python3");
  if (python === undefined) {
    return { missing: "python3 is not installed" };
  }
  const cache = process.env["XDG_CACHE_HOME"] ?? path.join(homedir(), ".cache");
  const folder = path.join(cache, "satellites", `grpcio-${GRPCIO_VERSION}`);
  const own = path.join(folder, "bin", "python");
  const hasGrpc = (): boolean => spawnSync(own, ["-c", "import grpc"]).status === 0;
  if (existsSync(own) && hasGrpc()) {
    return own;
  }
  mkdirSync(path.dirname(folder), { recursive: true });
  try {
    await execute(python, ["-m", "venv", "--clear", folder]);
    await execute(own, ["-m", "pip", "install", "--quiet", `grpcio==${GRPCIO_VERSION}`]);
  } catch (error) {
    return { missing: `grpcio ${GRPCIO_VERSION} cannot be installed: ${String(error)}` };
  }
  return own;
}
