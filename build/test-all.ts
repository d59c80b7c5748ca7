/**
 * Runs the layers of tests (docs/testing.md): all of them, or those named on the command line. It prints what each
 * layer came to, which tests failed or were tried again, and a last line "N passed, N failed, N skipped".
 */
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { BUILDKIT_NAMES, CLUSTER_NAMES, INTEROP_NAMES } from "../test/tools/catalog.ts";
import { readMochaCounts } from "./mocha-counts.ts";
import { ensurePrerequisites, PREREQUISITES, type Prerequisite } from "../src/local/qemu/prerequisites.ts";

interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Tests that failed and were tried again; absent where nothing is tried twice. */
  readonly retried?: number;
  /** The tests that failed or were tried again, a line each. */
  readonly trouble?: readonly string[];
  /** Why something was skipped. */
  readonly note?: string;
}

/** Whether a layer's output is shown as it comes, or at its end where others run beside it. */
type Show = "live" | "end";

interface Layer {
  readonly name: string;
  readonly run: (show: Show) => Promise<Outcome>;
  /**
   * Layers that mostly wait for processes run in two lanes beside each other, the rest one after the other. In
   * continuous integration there is time enough to give each the machine for itself.
   */
  readonly lane?: "vms" | "cluster";
  /** Only run when it is named: it takes longer than all may (docs/testing.md). */
  readonly onlyByName?: true;
}

const IN_CI = process.env["CI"] === "true";
/** Exit status of test/tools/build.ts where there is no usable Go. */
const NO_GO = 2;
/** Exit status of test/interop/run.ts where there is no Python with grpcio. */
const NO_PYTHON = 2;
/** Exit status of test/cluster/run.ts where no Kubernetes node can run. */
const NO_NODE = 2;
/**
 * Options for layers that drive processes and VMs. They share the machine with whatever else runs on it; a test that
 * fails once and then holds is let pass, counted, and named with how it failed.
 */
const PROCESSES = ["--exit", "--retries", "1"];
/** Names what failed once more at the end of a layer. */
const REPORTER = ["--reporter", "./build/test-reporter.ts"];
/** Folders of test/ that are layers of their own. */
const SLOW_FOLDERS = [
  "buildkit",
  "chart",
  "clients",
  "cluster",
  "conformance",
  "e2e",
  "hostile",
  "image",
  "integration",
  "interop",
  "model",
  "monitoring",
  "page/browser",
  "release",
  "simulation",
];

/** Runs a program; what it prints is shown as it comes, or all at its end where several run beside each other. */
function execute(
  command: string,
  args: readonly string[],
  show: Show = "live",
): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const take = (chunk: Buffer): void => {
      output += chunk.toString();
      if (show === "live") {
        process.stdout.write(chunk);
      }
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("error", (error) => {
      console.error(error.message);
      resolve({ status: 127, output });
    });
    child.once("close", (code) => {
      if (show === "end") {
        process.stdout.write(output);
      }
      resolve({ status: code ?? 1, output });
    });
  });
}

/** A program that passes or fails as a whole. */
function program(command: string, ...args: string[]): Layer["run"] {
  return async (show) => {
    const { status } = await execute(command, args, show);
    return status === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 };
  };
}

/** The tests of a list of files. */
function mocha(files: readonly string[], ...options: string[]): Layer["run"] {
  return (show) => runMocha(files, options, show);
}

async function runMocha(files: readonly string[], options: readonly string[], show: Show): Promise<Outcome> {
  if (files.length === 0) {
    console.error("no test files were found");
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const { status, output } = await execute("mocha", [...REPORTER, ...options, ...files], show);
  return mochaOutcome(status, output);
}

function mochaOutcome(status: number, output: string): Outcome {
  const { passing, failing, pending, retried, trouble } = readMochaCounts(output);
  return {
    passed: passing,
    failed: status === 0 ? failing : Math.max(1, failing),
    skipped: pending,
    retried,
    trouble,
  };
}

const inFolder = (folder: string): string[] => globSync(`test/${folder}/**/*.test.ts`).toSorted();

const unitFiles = globSync("test/**/*.test.ts")
  .filter((file) => !SLOW_FOLDERS.some((folder) => file.startsWith(`test/${folder}/`)))
  .toSorted();

/** The build of the tools, begun at once so that it runs beside the layers that need none. */
let toolsBuild: Promise<number> | undefined;
function tools(): Promise<number> {
  toolsBuild ??= execute("nice", ["node", "test/tools/build.ts"]).then(({ status }) => status);
  return toolsBuild;
}

/** The build of BuildKit, which waits for that of the tools that more layers need. */
let buildkitBuild: Promise<number> | undefined;
function buildkit(): Promise<number> {
  buildkitBuild ??= tools().then(async (status) =>
    status === 0
      ? (await execute("nice", ["node", "test/tools/build.ts", ...BUILDKIT_NAMES])).status
      : status,
  );
  return buildkitBuild;
}

/** The build of grpc-go's test programs, which waits for those builds that have begun. */
let interopBuild: Promise<number> | undefined;
function interop(): Promise<number> {
  interopBuild ??= (buildkitBuild ?? toolsBuild ?? Promise.resolve(0)).then(
    async () => (await execute("nice", ["node", "test/tools/build.ts", ...INTEROP_NAMES])).status,
  );
  return interopBuild;
}

/** The build of what a Kubernetes node is made of, which waits for those builds that have begun. */
let clusterBuild: Promise<number> | undefined;
function cluster(): Promise<number> {
  clusterBuild ??= Promise.all([buildkit(), interopBuild]).then(async ([status]) =>
    status === 0 ? (await execute("nice", ["node", "test/tools/build.ts", ...CLUSTER_NAMES])).status : status,
  );
  return clusterBuild;
}

/** A layer that needs programs; skipped where there is nothing to build them with, but not in continuous integration. */
function needing(build: () => Promise<number>, what: string, run: Layer["run"]): Layer["run"] {
  return async (show) => {
    const status = await build();
    if (status === NO_GO && !IN_CI) {
      return { passed: 0, failed: 0, skipped: 1, note: `needs ${what}` };
    }
    return status === 0
      ? run(show)
      : { passed: 0, failed: 1, skipped: 0, note: "the tools could not be built" };
  };
}

const needingTools = (run: Layer["run"]): Layer["run"] =>
  needing(tools, "Go or KUBEBUILDER_ASSETS to have kube-apiserver", run);

/** The strangers' cases, each counted; skipped where there is no Go or no Python with grpcio, but not in CI. */
async function runInterop(show: Show): Promise<Outcome> {
  const { status, output } = await execute("node", ["test/interop/run.ts"], show);
  if (status === NO_PYTHON && !IN_CI) {
    return { passed: 0, failed: 0, skipped: 1, note: "needs Python 3 with grpcio" };
  }
  const [, made = "0", failed = "0"] = /^interop: (\d+) cases, (\d+) failed$/m.exec(output) ?? [];
  return {
    passed: Number(made) - Number(failed),
    failed: status === 0 ? 0 : Math.max(1, Number(failed)),
    skipped: 0,
    trouble: [...output.matchAll(/^.* FAILED .*$/gm)].map(([line]) => line),
  };
}

/** The steps of a whole cluster, each counted; skipped where no node can run, but not in CI. */
async function runCluster(show: Show): Promise<Outcome> {
  const { status, output } = await execute("node", ["test/cluster/run.ts"], show);
  if (status === NO_NODE && !IN_CI) {
    const [, reason = ""] = /^no Kubernetes node can run here: (.*)$/m.exec(output) ?? [];
    return { passed: 0, failed: 0, skipped: 1, note: reason };
  }
  return mochaOutcome(status, output);
}

/** A layer that runs containers; skipped where this machine forbids them. */
function needingContainers(run: Layer["run"]): Layer["run"] {
  return async (show) => {
    const namespaces = ["--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc"];
    const { status } = await execute("unshare", [...namespaces, "true"], "end");
    return status === 0
      ? needing(buildkit, "Go to have BuildKit", run)(show)
      : { passed: 0, failed: 0, skipped: 1, note: "needs root's right to start containers" };
  };
}

const LAYERS: readonly Layer[] = [
  { name: "types", run: program("sh", "-c", "tsc && tsc -p src/page/browser") },
  { name: "lint", run: program("oxlint", "--type-aware", "--deny-warnings") },
  { name: "format", run: program("oxfmt", "--check") },
  { name: "generated", run: program("node", "build/generate.ts", "--check") },
  { name: "dependencies", run: program("node", "build/check-dependencies.ts") },
  { name: "unit", run: mocha(unitFiles) },
  { name: "model", run: program("node", "test/model/check.ts") },
  { name: "simulation", run: mocha(inFolder("simulation"), "--timeout", "300000") },
  { name: "hostile", run: mocha(inFolder("hostile"), ...PROCESSES) },
  {
    name: "e2e",
    lane: "vms",
    run: needingTools(mocha(inFolder("e2e"), ...PROCESSES, "--timeout", "300000")),
  },
  {
    name: "chart",
    lane: "cluster",
    run: needingTools(mocha(inFolder("chart"), ...PROCESSES, "--timeout", "120000")),
  },
  {
    name: "monitoring",
    lane: "cluster",
    run: needingTools(mocha(inFolder("monitoring"), ...PROCESSES, "--timeout", "180000")),
  },
  {
    name: "integration",
    lane: "cluster",
    run: needingTools(mocha(inFolder("integration"), ...PROCESSES, "--timeout", "120000")),
  },
  {
    name: "clients",
    lane: "cluster",
    run: needingContainers(mocha(inFolder("clients"), ...PROCESSES, "--timeout", "120000")),
  },
  {
    name: "page",
    onlyByName: true,
    run: mocha(inFolder("page/browser"), ...PROCESSES, "--timeout", "180000"),
  },
  { name: "interop", lane: "cluster", run: needing(interop, "Go to have grpc-go's clients", runInterop) },
  {
    name: "cluster",
    onlyByName: true,
    run: needing(cluster, "Go to have Kubernetes' programs", runCluster),
  },
  { name: "conformance", lane: "cluster", run: needingTools(program("node", "test/conformance/run.ts")) },
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !LAYERS.some((layer) => layer.name === name));
if (unknown.length > 0) {
  console.error(
    `no such layer: ${unknown.join(", ")}; there are ${LAYERS.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}
const layers = LAYERS.filter(({ name, onlyByName }) =>
  wanted.length === 0 ? onlyByName !== true : wanted.includes(name),
);
if (layers.some(({ name }) => ["chart", "monitoring", "integration", "conformance", "e2e"].includes(name))) {
  void tools();
}
if (layers.some(({ name }) => name === "clients")) {
  void buildkit();
}
if (layers.some(({ name }) => name === "interop")) {
  void interop();
}
if (layers.some(({ name }) => name === "cluster")) {
  void cluster();
}

/** What the tests run beside the product's own prerequisites; where it is missing some tests are skipped. */
const TEST_PROGRAMS: readonly Prerequisite[] = [
  { program: "nghttp", debianPackage: "nghttp2-client", purpose: "try the router with other HTTP/2 clients" },
  {
    program: "nghttpd",
    debianPackage: "nghttp2-server",
    purpose: "try the router with another HTTP/2 server",
  },
  { program: "curl", debianPackage: "curl", purpose: "try the router with curl" },
  { program: "runc", debianPackage: "runc", purpose: "run BuildKit's containers" },
];

/** Installs Debian packages that are missing, where that may be; else the tests say what they lack. */
async function prepare(): Promise<void> {
  try {
    await ensurePrerequisites({
      path: process.env["PATH"] ?? "",
      mayInstall: true,
      isRoot: process.getuid?.() === 0,
      progress: (line) => console.log(line),
      prerequisites: [...PREREQUISITES, ...TEST_PROGRAMS],
    });
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
  }
}

await prepare();
const results: { name: string; outcome: Outcome; seconds: number }[] = [];

async function runInTurn(inTurn: readonly Layer[], show: Show): Promise<void> {
  for (const { name, run } of inTurn) {
    console.log(`\n=== ${name}${show === "end" ? " (shown at its end)" : ""}`);
    const startedMs = performance.now();
    const outcome = await run(show);
    results.push({ name, outcome, seconds: (performance.now() - startedMs) / 1000 });
  }
}

if (IN_CI) {
  await runInTurn(layers, "live");
} else {
  await runInTurn(
    layers.filter(({ lane }) => lane === undefined),
    "live",
  );
  const lanes = ["vms", "cluster"].map((lane) => layers.filter((layer) => layer.lane === lane));
  const show = lanes.every(({ length }) => length > 0) ? "end" : "live";
  await Promise.all(lanes.map((lane) => runInTurn(lane, show)));
}

console.log("\nlayer         passed  failed  skipped  retried  seconds");
for (const { name, outcome, seconds } of results) {
  const columns = [outcome.passed, outcome.failed, outcome.skipped, outcome.retried ?? 0].map((count) =>
    String(count).padStart(6),
  );
  console.log(
    `${name.padEnd(14)}${columns.join("  ")}   ${seconds.toFixed(1).padStart(7)}  ${outcome.note ?? ""}`,
  );
}
const total = (key: "passed" | "failed" | "skipped" | "retried"): number =>
  results.reduce((sum, { outcome }) => sum + (outcome[key] ?? 0), 0);
const trouble = results.flatMap(({ name, outcome }) =>
  (outcome.trouble ?? []).map((line) => `${name}: ${line}`),
);
if (trouble.length > 0) {
  console.log(`\n${trouble.join("\n")}`);
}
console.log(`\n${total("passed")} passed, ${total("failed")} failed, ${total("skipped")} skipped`);
process.exit(total("failed") === 0 ? 0 : 1);
