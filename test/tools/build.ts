// Builds the programs that the tests need and prints the path of each on standard output:
//   node test/tools/build.ts [--if-absent] [kubectl] [kube-apiserver] [etcd] [helm] [grpcurl] [ghz] [h2spec] [kstatus]
//   node test/tools/build.ts buildkitd buildctl buildx
//   node test/tools/build.ts interop-peer interop-client interop-http2
//   node test/tools/build.ts actionlint crane
//   node test/tools/build.ts packer packer-plugin-amazon
//   node test/tools/build.ts kubelet kube-controller-manager kube-scheduler kube-proxy coredns pause kube-router
// Without names it builds all of the first line. With --if-absent a program on PATH serves as well.
// Exit code 2 says that there is no Go to build with, 1 that anything else went wrong.

import { mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  BUILDKIT_NAMES,
  CLUSTER_NAMES,
  describeTool,
  findOnPath,
  findTool,
  INTEROP_NAMES,
  IMAGE_NAMES,
  RELEASE_NAMES,
  type Tool,
  TOOL_NAMES,
  type ToolName,
} from "./catalog.ts";
import { type BuildProgress, checkGo, goBuild, NoGoError } from "./go-build.ts";
import { type FileLock, tryLock } from "./lock.ts";

const PROGRESS_INTERVAL_MS = 5000;
const LOCK_POLL_MS = 250;

/** Takes one line for people. */
export type Report = (line: string) => void;

function elapsedSeconds(startedMs: number): string {
  return `${Math.round((performance.now() - startedMs) / 1000)} s`;
}

/** Reports `line()` every few seconds until `work` is done. */
async function withProgress<T>(report: Report, line: () => string, work: Promise<T>): Promise<T> {
  const timer = setInterval(() => report(line()), PROGRESS_INTERVAL_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}

async function waitForLock(path: string): Promise<FileLock> {
  for (;;) {
    const lock = tryLock(path);
    if (lock !== undefined) {
      return lock;
    }
    await delay(LOCK_POLL_MS);
  }
}

/** Builds into a folder beside the final one and renames, so that a half-built tool is never found. */
async function buildIntoCache(tool: Tool, report: Report): Promise<void> {
  checkGo(tool);
  const startedMs = performance.now();
  const progress: BuildProgress = { downloadedModules: 0, compiledPackages: 0 };
  const title = `${tool.name} ${tool.version}`;
  const counts = (): string =>
    `${elapsedSeconds(startedMs)}, ${progress.downloadedModules} modules downloaded, ` +
    `${progress.compiledPackages} packages compiled`;
  report(`${title}: building with Go (this takes minutes the first time)`);
  const partial = `${tool.cacheDir}.partial`;
  rmSync(partial, { recursive: true, force: true });
  mkdirSync(join(partial, "bin"), { recursive: true });
  const build = goBuild(tool, join(partial, "bin", tool.name), progress);
  await withProgress(report, () => `${title}: building, ${counts()}`, build);
  rmSync(tool.cacheDir, { recursive: true, force: true });
  renameSync(partial, tool.cacheDir);
  report(`${title}: built in ${counts()}`);
}

/**
 * Path of a tool, which is built first if need be. Any number of processes may ask at once; one builds.
 *
 * @throws Error that says what is missing or why it did not compile
 */
export async function ensureTool(name: ToolName, report: Report): Promise<string> {
  const found = findTool(name);
  if (found !== undefined) {
    return found;
  }
  const tool = describeTool(name);
  mkdirSync(dirname(tool.cacheDir), { recursive: true });
  const startedMs = performance.now();
  const lock = await withProgress(
    report,
    () => `${name} ${tool.version}: another process is building it, waiting ${elapsedSeconds(startedMs)}`,
    waitForLock(`${tool.cacheDir}.lock`),
  );
  try {
    if (findTool(name) === undefined) {
      await buildIntoCache(tool, report);
    }
  } finally {
    lock.release();
  }
  return tool.binary;
}

const KNOWN: readonly string[] = [
  ...TOOL_NAMES,
  ...BUILDKIT_NAMES,
  ...INTEROP_NAMES,
  ...IMAGE_NAMES,
  ...RELEASE_NAMES,
  ...CLUSTER_NAMES,
];

function isToolName(name: string): name is ToolName {
  return KNOWN.includes(name);
}

async function main(args: readonly string[]): Promise<void> {
  const onPathServes = args.includes("--if-absent");
  const names = args.filter((arg) => arg !== "--if-absent");
  for (const name of names.length === 0 ? TOOL_NAMES : names) {
    if (!isToolName(name)) {
      throw new Error(`unknown tool "${name}"; known are ${KNOWN.join(", ")}`);
    }
    const onPath = onPathServes ? findOnPath(name) : undefined;
    process.stdout.write(
      `${onPath ?? (await ensureTool(name, (line) => process.stderr.write(`${line}\n`)))}\n`,
    );
  }
}

if (import.meta.main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = error instanceof NoGoError ? 2 : 1;
  }
}
