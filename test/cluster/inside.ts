import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path, { delimiter, join } from "node:path";
import { ensureGuestImage } from "../../src/local/qemu/image.ts";
import { ensurePrerequisites, PREREQUISITES } from "../../src/local/qemu/prerequisites.ts";
import { NodeCgroups } from "./cgroups.ts";
import { buildFirstRelease, buildImages } from "./images.ts";
import { CNI_PLUGINS, NAMESPACES, NODE_PROGRAMS } from "./machine.ts";
import { setNodeEnvironment } from "./node/environment.ts";
import { NODE_PLACES } from "./node/place.ts";

const ROOT = join(import.meta.dirname, "../..");

/** How a program in a node ended. */
export interface Ended {
  readonly status: number;
  /** What it printed, which was shown meanwhile. */
  readonly output: string;
}

/**
 * Runs a program in new namespaces, in which it may start nodes (`theNodes`). They end with it, or with this process.
 *
 * @param command the program and its arguments
 * @param images folder in which the images are kept, and not built again when they are there; built anew by default
 * @throws Error when something is missing that cannot be installed, or processes are left
 */
export async function runInNode(command: readonly string[], images?: string): Promise<Ended> {
  const programs = await ensurePrerequisites({
    path: [process.env["PATH"], CNI_PLUGINS].join(delimiter),
    mayInstall: true,
    isRoot: true,
    progress: (line) => console.log(line),
    prerequisites: [
      ...NODE_PROGRAMS,
      { program: "prometheus", debianPackage: "prometheus", purpose: "scrape the pods" },
      ...PREREQUISITES,
    ],
  });
  const directory = mkdtempSync(join(tmpdir(), "satellites-node-"));
  const cgroups = NodeCgroups.make(NODE_PLACES.map(({ name }) => name));
  try {
    const temporary = join(directory, "tmp");
    mkdirSync(temporary);
    const folder = images === undefined ? join(directory, "images") : path.resolve(images);
    await ensureImages(folder);
    const image = await ensureGuestImage({
      cacheDirectory: process.env["SATELLITES_CACHE"] ?? join(homedir(), ".cache/satellites"),
      tools: programs,
      nodePath: process.execPath,
      progress: (line) => console.log(line),
    });
    // Where administrators' programs are is not on everybody's PATH, and kube-proxy looks there for nft.
    const programPath = [process.env["PATH"], "/usr/sbin", "/sbin"].join(delimiter);
    const environment = setNodeEnvironment(
      // Nothing of what they write outlives them.
      { ...process.env, PATH: programPath, TMPDIR: temporary },
      {
        directory,
        images: folder,
        cgroupRoot: cgroups.root,
        programs,
        hypervisor: { kind: "qemu", tools: programs, image },
      },
    );
    return await runInside(command, environment);
  } finally {
    await removed(cgroups);
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Runs a program as the one child of the first process in new namespaces. */
function runInside(command: readonly string[], environment: NodeJS.ProcessEnv): Promise<Ended> {
  return new Promise((resolve, reject) => {
    // The shell ends processes whose parents are gone, as the first process of a namespace has to.
    const shell = ["sh", "-c", '"$@"; exit $?', "sh"];
    const inside = [...NAMESPACES, ...shell, ...command];
    // If this process is killed, so is everything else.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "unshare", ...inside], {
      cwd: ROOT,
      env: environment,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      process.stdout.write(chunk);
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ status: code ?? 1, output }));
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => child.kill("SIGKILL"));
    }
  });
}

/** Builds the images where their folder is not there. */
async function ensureImages(folder: string): Promise<void> {
  if (existsSync(folder)) {
    return;
  }
  const startedMs = performance.now();
  mkdirSync(folder, { recursive: true });
  await buildImages(folder);
  const reason = await buildFirstRelease(folder);
  if (reason !== undefined && process.env["CI"] === "true") {
    throw new Error(`the first release cannot be built: ${reason}`);
  }
  console.log(`images built in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
}

/** The kernel ends the namespaces' processes in its own time. */
async function removed(cgroups: NodeCgroups): Promise<void> {
  for (let attempt = 0; cgroups.remove().length > 0; attempt += 1) {
    if (attempt === 100) {
      throw new Error(`processes of the node are left: ${cgroups.remove().join(", ")}`);
    }
    await new Promise<void>((resolve) => {
      setTimeout(resolve, 100);
    });
  }
}
