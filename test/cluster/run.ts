/**
 * Runs the tests of a whole cluster, on Kubernetes nodes that live as long as they do:
 *
 *   node test/cluster/run.ts [--images=FOLDER] [FILE… and options of mocha]
 *
 * With --images the images are kept in that folder, and not built again when they are there.
 *
 * The tests run inside of the first node's namespaces, so that they reach pods and Services, and everything ends with them.
 * The last line is "cluster: N steps, F failed". Exit code 2 says that no node can run on this machine, 1 that a
 * step failed.
 */
import { spawn } from "node:child_process";
import { existsSync, globSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path, { delimiter, join } from "node:path";
import { readMochaCounts } from "../../build/mocha-counts.ts";
import { ensureGuestImage } from "../../src/local/qemu/image.ts";
import { ensurePrerequisites, PREREQUISITES } from "../../src/local/qemu/prerequisites.ts";
import { NodeCgroups } from "./cgroups.ts";
import { buildFirstRelease, buildImages } from "./images.ts";
import { CNI_PLUGINS, NAMESPACES, NODE_PROGRAMS, whyNoNode } from "./machine.ts";
import { setNodeEnvironment } from "./node/environment.ts";
import { NODE_PLACES } from "./node/place.ts";

const ROOT = join(import.meta.dirname, "../..");
const MOCHA = ["--reporter", "./build/test-reporter.ts", "--exit", "--timeout", "300000"];

/** Runs mocha as the one child of the first process in new namespaces; resolves with what it printed. */
function runInside(args: readonly string[], environment: NodeJS.ProcessEnv): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    // The shell ends processes whose parents are gone, as the first process of a namespace has to.
    const shell = ["sh", "-c", '"$@"; exit $?', "sh"];
    const inside = [...NAMESPACES, ...shell, "mocha", ...MOCHA, ...args];
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
    child.once("close", (code) => resolve([code ?? 1, output]));
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => child.kill("SIGKILL"));
    }
  });
}

async function main(args: readonly string[]): Promise<number> {
  const reason = whyNoNode();
  if (reason !== undefined) {
    console.error(`no Kubernetes node can run here: ${reason}`);
    return 2;
  }
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
    const kept = args.find((each) => each.startsWith("--images="))?.slice("--images=".length);
    const temporary = join(directory, "tmp");
    mkdirSync(temporary);
    const images = kept === undefined ? join(directory, "images") : path.resolve(kept);
    await ensureImages(images);
    const image = await ensureGuestImage({
      cacheDirectory: process.env["SATELLITES_CACHE"] ?? join(homedir(), ".cache/satellites"),
      tools: programs,
      nodePath: process.execPath,
      progress: (line) => console.log(line),
    });
    const files = args.some((each) => each.endsWith(".test.ts"))
      ? []
      : globSync("test/cluster/**/*.test.ts", { cwd: ROOT }).toSorted();
    // Where administrators' programs are is not on everybody's PATH, and kube-proxy looks there for nft.
    const programPath = [process.env["PATH"], "/usr/sbin", "/sbin"].join(delimiter);
    const environment = setNodeEnvironment(
      // Nothing of what they write outlives them.
      { ...process.env, PATH: programPath, TMPDIR: temporary },
      {
        directory,
        images,
        cgroupRoot: cgroups.root,
        programs,
        hypervisor: { kind: "qemu", tools: programs, image },
      },
    );
    const [status, output] = await runInside(
      [...args.filter((each) => !each.startsWith("--images=")), ...files],
      environment,
    );
    const { passing, failing, pending } = readMochaCounts(output);
    const failed = status === 0 ? failing : Math.max(1, failing);
    console.log(`cluster: ${passing + failing + pending} steps, ${failed} failed`);
    return failed === 0 ? 0 : 1;
  } finally {
    await removed(cgroups);
    rmSync(directory, { recursive: true, force: true });
  }
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

process.exitCode = await main(process.argv.slice(2));
