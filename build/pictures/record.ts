/**
 * Draws the pictures of docs/cli.md (`make pictures`): `satellites local` runs, and each command at a pseudo-terminal
 * of its own (`script` of util-linux). The hours of `savings` and `inspect` are put in; all else is what the programs did.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { requireTool } from "../../test/tools/catalog.ts";
import { terminalSvg } from "./terminal-svg.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const TARGET = join(ROOT, "docs/pictures");
const COLUMNS = 100;
const POLL_MS = 200;

/** Hours awake and asleep, and wakes. */
const hours = { ada: [22.4, 193.6, 31], bob: [6, 210, 12], eve: [41.5, 174.5, 58] } as const;

const folder = mkdtempSync(join(tmpdir(), "satellites-pictures-"));
const stateDir = join(folder, "state");
const environment = {
  PATH: `${join(stateDir, "bin")}:${process.env["PATH"] ?? ""}`,
  HOME: folder,
  TERM: "xterm-256color",
  KUBECONFIG: join(stateDir, "kubeconfig"),
};

/** Runs a program to its end; returns what it wrote. */
async function execute(program: string, args: readonly string[], input?: string): Promise<string> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], env: environment, cwd: folder });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
  child.stdin.end(input);
  await once(child, "close");
  return text;
}

const kubectl = (...args: string[]): Promise<string> => execute(requireTool("kubectl"), args);

const pause = (): Promise<void> =>
  new Promise((done) => {
    setTimeout(done, POLL_MS);
  });

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) {
    await pause();
  }
}

async function phaseIs(name: string, phase: string): Promise<void> {
  await until(
    async () => (await kubectl("get", "satellite", name, "-o", "jsonpath={.status.phase}")) === phase,
  );
}

/** Records a command at a terminal and draws what is on the screen at its end. */
async function draw(name: string, words: string): Promise<void> {
  const shell = `stty cols ${COLUMNS} rows 60; exec ${words.replace(/^kubectl satellite/, "kubectl-satellite")}`;
  const bytes = await execute("script", ["--quiet", "--return", "--flush", "--command", shell, "/dev/null"]);
  // The prompt, as a shell would have it before the command.
  const screen = `\u001B[1m$\u001B[0m ${words}\r\n${bytes}`;
  writeFileSync(join(TARGET, `${name}.svg`), await terminalSvg(screen, COLUMNS, words));
  console.log(`docs/pictures/${name}.svg: ${words}`);
}

const satellite = (name: string, spec: object): object => ({
  apiVersion: "satellites.dev/v1alpha1",
  kind: "Satellite",
  metadata: { name, namespace: "team-a" },
  spec,
});

mkdirSync(TARGET, { recursive: true });
mkdirSync(stateDir);
const local = spawn(
  process.execPath,
  [join(ROOT, "src/main.ts"), "local", "--access-control", `--state-dir=${stateDir}`],
  { stdio: ["ignore", "pipe", "inherit"] },
);
let said = "";
local.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
try {
  await until(async () => said.includes("Ctrl-C stops it") || local.exitCode !== null);
  await kubectl("create", "namespace", "team-a");
  await kubectl("config", "set-context", "--current", "--namespace=team-a");
  const sizes = { ada: "large", bob: "small", eve: "large" } as const;
  for (const name of Object.keys(hours)) {
    const spec = { idleTimeout: "30m", size: sizes[name as keyof typeof sizes], desiredPower: "on" };
    await execute(requireTool("kubectl"), ["apply", "-f", "-"], JSON.stringify(satellite(name, spec)));
  }
  for (const [name, [awake, asleep, wakes]] of Object.entries(hours)) {
    await phaseIs(name, "Running");
    const usage = { runningSeconds: 3600 * awake, asleepSeconds: 3600 * asleep, wakes };
    const patch = JSON.stringify({ status: { usage } });
    await kubectl("patch", "satellite", name, "--subresource=status", "--type=merge", "-p", patch);
  }
  await execute("kubectl-satellite", ["sleep", "bob", "--now"]);
  await execute("kubectl-satellite", ["sleep", "eve", "--now"]);
  const build = spawn("kubectl-satellite", ["run", "ada", "--", "sleep", "600"], {
    stdio: "ignore",
    env: environment,
  });
  await until(async () => (await kubectl("get", "satellite", "ada", "-o", "json")).includes("oldestStream"));
  await draw("inspect", "kubectl satellite inspect ada");
  build.kill("SIGINT");
  await once(build, "close");
  await draw("savings", "kubectl satellite savings");
  await draw("wake", "kubectl satellite wake bob");
  await draw("doctor", "kubectl satellite doctor");
} finally {
  // VMs outlive the system that made them.
  await execute("kubectl-satellite", ["rm", ...Object.keys(hours)]);
  local.kill("SIGINT");
  await once(local, "close");
  rmSync(folder, { recursive: true, force: true });
}
