import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setPriority } from "node:os";
import { createInterface } from "node:readline";
import { join } from "node:path";
import type { Tool } from "./catalog.ts";

/** What a build has done so far. */
export interface BuildProgress {
  downloadedModules: number;
  compiledPackages: number;
}

/** There is no Go that could build the tools. Layers that need them are skipped then, unless CI=true. */
export class NoGoError extends Error {
  override readonly name = "NoGoError";
}

/** Lines of the compiler that an error message quotes. */
const QUOTED_LINES = 30;
/** Builds give way to whatever else the machine does. */
const BUILD_NICENESS = 10;

/** Whether Go version `found` ("go1.26.8", "1.26") is at least `wanted` ("1.26.0"). */
export function isAtLeast(found: string, wanted: string): boolean {
  const parts = (version: string): number[] =>
    version
      .replace(/^go/, "")
      .split(".")
      .map((part) => Number.parseInt(part, 10) || 0);
  const [a, b] = [parts(found), parts(wanted)];
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) {
      return difference > 0;
    }
  }
  return true;
}

/**
 * Makes sure that a Go that can build the tool is here. An older one serves too unless GOTOOLCHAIN=local
 * forbids it to fetch the newer one (https://go.dev/doc/toolchain).
 *
 * @throws NoGoError that says what to install
 */
export function checkGo(tool: Tool): void {
  const wanted = /^go (\S+)$/m.exec(readFileSync(join(tool.moduleDir, "go.mod"), "utf8"))?.[1] ?? "";
  // Outside of a module, so that an old Go answers for itself instead of refusing the go.mod file.
  const result = spawnSync("go", ["env", "GOVERSION", "GOTOOLCHAIN"], { cwd: "/", encoding: "utf8" });
  if (result.error !== undefined || result.status !== 0) {
    throw new NoGoError(
      `Go is needed to build this and was not found; install Go ${wanted} or newer (https://go.dev/dl), ` +
        `or point KUBEBUILDER_ASSETS at a folder with kubectl, kube-apiserver and etcd`,
      { cause: result.error },
    );
  }
  const [found = "", toolchain = ""] = result.stdout.trim().split("\n");
  if (!isAtLeast(found, wanted) && toolchain === "local") {
    throw new NoGoError(
      `this needs Go ${wanted} or newer, but ${found} is installed and GOTOOLCHAIN=local keeps it from fetching ` +
        `a newer one; install one, or set GOTOOLCHAIN=auto`,
    );
  }
}

/**
 * Compiles a tool with `go build`; modules come from the user's own Go settings and are checked against go.sum.
 *
 * @param output path of the program to write
 * @param progress counted up while the build runs
 * @throws Error with the compiler's last lines
 */
export async function goBuild(tool: Tool, output: string, progress: BuildProgress): Promise<void> {
  const stamps = Object.entries(tool.stamps).map(([name, value]) => `-X=${name}=${value}`);
  const flags = ["-v", "-trimpath", "-mod=readonly", "-buildvcs=false", `-ldflags=-s -w ${stamps.join(" ")}`];
  const child = spawn("go", ["build", ...flags, "-o", output, tool.package], {
    cwd: tool.moduleDir,
    // Without cgo the programs need no C compiler and run on any Linux, as the released ones do.
    env: { ...process.env, CGO_ENABLED: "0" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (child.pid !== undefined) {
    setPriority(child.pid, BUILD_NICENESS);
  }
  const lastLines: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    if (line.startsWith("go: downloading ")) {
      progress.downloadedModules += 1;
    } else if (/^\S+$/.test(line)) {
      progress.compiledPackages += 1;
    } else {
      lastLines.push(line);
      lastLines.splice(0, lastLines.length - QUOTED_LINES);
    }
  });
  const { code, signal } = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(
    (resolve, reject) => {
      child.once("error", reject);
      child.once("close", (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
    },
  );
  if (code !== 0) {
    throw new Error(
      `go build ${tool.package} failed (${signal ?? `exit code ${code}`}):\n${lastLines.join("\n")}`,
    );
  }
}
