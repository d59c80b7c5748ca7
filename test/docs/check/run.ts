/**
 * `make docs-check`: checks the links of all pages, and runs their commands (blocks.ts says which). Each page has a scratch
 * folder with the examples, the CRDs and the chart, and, where it asks for one, a `satellites local` with virtual VMs.
 * The last line is "docs-check: N commands run, M need AWS, F failed".
 *
 *   node test/docs/check/run.ts [PAGE…]
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../support/eventually.ts";
import { startProcess, type TestProcess } from "../../support/process.ts";
import { findOnPath, requireTool } from "../../tools/catalog.ts";
import { deadLinks, PAGES, read, ROOT } from "../pages.ts";
import { checkPages, type Session, type Shell } from "./check.ts";

const MAIN = join(ROOT, "src/main.ts");
const COMMAND_TIMEOUT_MS = 180_000;
const MAX_SHOWN = 2000;

/** A folder as a reader has it: the repository's files that pages name, and the programs that they call. */
function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "satellites-docs-"));
  for (const name of ["charts", "crds", "docs", "examples"])
    symlinkSync(join(ROOT, name), join(folder, name));
  const bin = join(folder, "bin");
  mkdirSync(bin);
  for (const tool of ["kubectl", "helm"] as const) symlinkSync(requireTool(tool), join(bin, tool));
  for (const name of ["satellites", "kubectl-satellite"]) {
    const main = name === "satellites" ? MAIN : join(ROOT, "src/kubectl-satellite.ts");
    writeFileSync(join(bin, name), `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`, { mode: 0o755 });
  }
  // "docker buildx …" without Docker: the plugin is a program of its own.
  writeFileSync(join(bin, "docker"), `#!/bin/sh\nshift\nexec ${requireTool("buildx")} "$@"\n`, {
    mode: 0o755,
  });
  return folder;
}

async function startLocal(folder: string): Promise<{ system: TestProcess; environment: NodeJS.ProcessEnv }> {
  const stateDir = join(folder, ".satellites/local");
  mkdirSync(stateDir, { recursive: true });
  const system = await startProcess(
    "satellites local",
    process.execPath,
    [MAIN, "local", "--hypervisor=virtual", `--state-dir=${stateDir}`],
    join(folder, "local.log"),
  );
  await eventually(
    "satellites local is ready",
    () => system.logTail(100).includes("Ctrl-C stops it") || undefined,
    {
      timeoutMs: COMMAND_TIMEOUT_MS,
    },
  );
  return {
    system,
    environment: { KUBECONFIG: join(stateDir, "kubeconfig") },
  };
}

/** Runs a block as a reader would paste it, but that it ends at the first command that fails. */
function bash(text: string, folder: string, environment: NodeJS.ProcessEnv): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn("bash", ["-eu", "-o", "pipefail", "-x", "-c", text], {
      cwd: folder,
      env: {
        ...environment,
        PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? ""}`,
        HOME: folder,
        NO_COLOR: "1",
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    const take = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    const timer = setTimeout(() => child.kill("SIGKILL"), COMMAND_TIMEOUT_MS);
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve(code === 0 ? undefined : `failed (${code ?? "out of time"}):\n${output.slice(-MAX_SHOWN)}`);
    });
  });
}

const shell: Shell = {
  open: async (_page, needsLocal): Promise<Session> => {
    const folder = scratchFolder();
    const local = needsLocal ? await startLocal(folder) : undefined;
    return {
      run: (text) => bash(text, folder, local?.environment ?? {}),
      close: async () => {
        await local?.system.stop("SIGTERM");
        rmSync(folder, { recursive: true, force: true });
      },
    };
  },
};

if (findOnPath("bash") === undefined) throw new Error("docs-check needs bash");
const named = process.argv.slice(2);
const pages = named.length > 0 ? named : PAGES;
const dead = deadLinks(pages);
for (const link of dead) console.log(`dead link: ${link}`);
const { run, aws, failed } = await checkPages(
  pages.map((page) => ({ page, text: read(page) })),
  shell,
  (line) => console.log(line),
);
console.log(`docs-check: ${run} commands run, ${aws} need AWS, ${failed + dead.length} failed`);
process.exitCode = failed + dead.length > 0 ? 1 : 0;
