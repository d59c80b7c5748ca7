/**
 * Plants each bug of mutant-list.ts and tested-mutants.ts in a copy of the sources, and says what plan or test caught it:
 *
 *     node test/simulation/mutants.ts [--only TEXT] [--jobs N]
 */
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MUTANTS, type Mutant, type PlantedBug, type TestedMutant } from "./mutant-list.ts";
import { TESTED_MUTANTS } from "./tested-mutants.ts";

const ROOT = join(import.meta.dirname, "..", "..");

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    jobs: { type: "string", default: String(availableParallelism()) },
  },
});

const chosen = [...MUTANTS, ...TESTED_MUTANTS].filter(({ name }) => name.includes(values.only));
const waiting = [...chosen];
let caught = 0;
await Promise.all(
  Array.from({ length: Number(values.jobs) }, async () => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const isDead = await isCaught(mutant);
      caught += isDead ? 1 : 0;
    }
  }),
);
console.log(`mutants: ${chosen.length} planted, ${caught} caught`);
process.exitCode = caught === chosen.length ? 0 : 1;

async function isCaught(mutant: Mutant | TestedMutant): Promise<boolean> {
  const folder = plant(mutant);
  try {
    const finding =
      "tests" in mutant ? await findInTests(mutant, folder) : await findInSimulation(mutant, folder);
    console.log(finding === undefined ? `ALIVE  ${mutant.name}` : `CAUGHT ${mutant.name}\n${finding}`);
    return finding !== undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns the first failure; undefined where the tests pass */
async function findInTests({ name, tests }: TestedMutant, folder: string): Promise<string | undefined> {
  const mocha = join(folder, "node_modules", "mocha", "bin", "mocha.js");
  const { status, output } = await run([mocha, "--exit", ...tests], folder);
  const failures = /^ {2}1\) .*(?:\n.*){0,3}/m.exec(output);
  if (status !== 0 && failures === null) {
    throw new Error(`the tests of mutant "${name}" did not run:\n${output}`);
  }
  return status === 0 ? undefined : failures?.[0].replace(/^/gm, "     ").slice(0, 600);
}

/** Looks where the bug should show, then in random walks. */
async function findInSimulation(mutant: Mutant, folder: string): Promise<string | undefined> {
  const hint = ["--plans", "all", "--workload", mutant.workload, "--kind", mutant.kind, "--seeds", "0"];
  for (const selection of [hint, ["--plans", "none", "--seeds", "400"]]) {
    const { status, output } = await simulateIn(folder, selection);
    if (status !== 0 && !output.includes("SURVIVOR")) {
      throw new Error(`the simulation of mutant "${mutant.name}" did not run:\n${output}`);
    }
    if (status !== 0) {
      return firstFinding(output);
    }
  }
  return undefined;
}

/**
 * A copy of what the simulation and the tests need, with the bug in it.
 *
 * @throws Error when the text to replace is not there exactly once: the list is out of date
 */
function plant({ name, edits }: PlantedBug): string {
  const folder = mkdtempSync(join(tmpdir(), "mutant-"));
  for (const part of ["src", "crds", "package.json", ".mocharc.json", "test"]) {
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  for (const { file, from, to } of edits) {
    const path = join(folder, "src", file);
    const source = readFileSync(path, "utf8");
    if (source.split(from).length !== 2) {
      throw new Error(`mutant "${name}": src/${file} does not have exactly one\n${from}`);
    }
    writeFileSync(
      path,
      source.replace(from, () => to),
    );
  }
  return folder;
}

function simulateIn(
  folder: string,
  selection: readonly string[],
): Promise<{ status: number; output: string }> {
  const script = join(folder, "test", "simulation", "run.ts");
  return run([script, "--jobs", "1", "--stop-at", "1", ...selection], folder);
}

/** Runs Node in a folder to its end. */
function run(args: readonly string[], cwd: string): Promise<{ status: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd });
    let output = "";
    const take = (chunk: Buffer): void => void (output += chunk.toString());
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("error", reject);
    child.once("close", (code) => resolve({ status: code ?? 1, output }));
  });
}

function firstFinding(output: string): string {
  const lines = output.split("\n");
  const start = lines.findIndex((line) => line.startsWith("SURVIVOR"));
  return (start < 0 ? lines.slice(0, 6) : lines.slice(start, start + 3))
    .map((line) => `       ${line.slice(0, 300)}`)
    .join("\n");
}
