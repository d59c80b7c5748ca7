// Asks kube-apiserver and the embedded server the same things and compares their answers:
//   node test/conformance/run.ts [--write-docs] [--show] [text that the names of the cases to run contain]
// With --show it prints every answer of kube-apiserver, in the form that is compared.
// The last line is `conformance: N cases, M differences`; it fails when a difference is not one of those that
// known-differences.ts lists with a reason, and when one listed there is gone.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { BUILTIN_SCENARIOS } from "./cases/builtins.ts";
import { LIST_SCENARIOS } from "./cases/lists.ts";
import { OBJECT_SCENARIOS } from "./cases/objects.ts";
import { PATCH_SCENARIOS } from "./cases/patches.ts";
import { VALIDATION_SCENARIOS } from "./cases/validation.ts";
import { WATCH_SCENARIOS } from "./cases/watches.ts";
import { KNOWN_DIFFERENCES } from "./known-differences.ts";
import { differences } from "./normalise.ts";
import { type Scenario, ScenarioApi, type ScenarioServer, type Step } from "./scenario.ts";
import { startEmbedded, startReal, type Target } from "./targets.ts";

const SCENARIOS: readonly Scenario[] = [
  ...OBJECT_SCENARIOS,
  ...PATCH_SCENARIOS,
  ...VALIDATION_SCENARIOS,
  ...LIST_SCENARIOS,
  ...WATCH_SCENARIOS,
  ...BUILTIN_SCENARIOS,
];
const FEWEST_CASES = 150;
const DOCS = join(import.meta.dirname, "..", "..", "docs", "conformance.md");

/** A case whose answers differ. */
interface Difference {
  readonly name: string;
  /** One line for each place, the real server's answer first. */
  readonly lines: readonly string[];
}

const BROKE_OFF = "(the case broke off)";

async function stepsOf(scenario: Scenario, server: ScenarioServer, namespace: string): Promise<Step[]> {
  const made = await server.admin.request("POST", "/api/v1/namespaces", {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: namespace },
  });
  if (made.status !== 201) {
    throw new Error(`the namespace ${namespace} was not made: ${JSON.stringify(made.body)}`);
  }
  const api = new ScenarioApi(server, namespace);
  try {
    await scenario.run(api);
  } catch (error) {
    // The embedded server may not get through a case, which is a difference; kube-apiserver has to.
    const message = error instanceof Error ? error.message : String(error);
    return [...api.steps, { request: BROKE_OFF, status: 0, body: message }];
  }
  return api.steps;
}

function compareSteps(real: readonly Step[], embedded: readonly Step[]): string[] {
  const lines: string[] = [];
  for (let index = 0; index < Math.max(real.length, embedded.length); index += 1) {
    const [a, b] = [real[index], embedded[index]];
    const title = a?.request ?? b?.request ?? "";
    lines.push(
      ...differences(
        { request: a?.request, status: a?.status, body: a?.body },
        { request: b?.request, status: b?.status, body: b?.body },
      ).map((line) => `${title}: ${line}`),
    );
  }
  return lines;
}

function show(name: string, steps: readonly Step[]): void {
  process.stdout.write(`${name}\n`);
  for (const { request, status, body } of steps) {
    process.stdout.write(`        ${request}: ${status} ${JSON.stringify(body)}\n`);
  }
}

async function compare(
  scenarios: readonly Scenario[],
  real: Target,
  embedded: Target,
  showAnswers: boolean,
): Promise<Difference[]> {
  const found: Difference[] = [];
  for (const [index, scenario] of scenarios.entries()) {
    const namespace = `conformance-${index + 1}`;
    const expected = await stepsOf(scenario, real, namespace);
    const last = expected.at(-1);
    if (last === undefined || last.request === BROKE_OFF) {
      throw new Error(`"${scenario.name}" does not run on kube-apiserver: ${String(last?.body)}`);
    }
    if (showAnswers) {
      show(scenario.name, expected);
    }
    const lines = compareSteps(expected, await stepsOf(scenario, embedded, namespace));
    if (lines.length > 0) {
      found.push({ name: scenario.name, lines });
    }
  }
  return found;
}

function checkNames(): void {
  const names = SCENARIOS.map(({ name }) => name);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  const unknown = Object.keys(KNOWN_DIFFERENCES).find((name) => !names.includes(name));
  if (repeated !== undefined || unknown !== undefined) {
    throw new Error(
      repeated === undefined
        ? `known-differences.ts names no case: "${unknown}"`
        : `two cases have the name "${repeated}"`,
    );
  }
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

function documentation(cases: number, found: readonly Difference[]): string {
  const rows = found.map(
    ({ name, lines }) =>
      `| ${cell(name)} | ${lines
        .slice(0, 3)
        .map((line) => `\`${cell(line)}\``)
        .join("<br>")} | ${cell(KNOWN_DIFFERENCES[name] ?? "to be mended")} |`,
  );
  return [
    "# Conformance of the embedded API server",
    "",
    "Written by `node test/conformance/run.ts --write-docs`. One set of cases runs against kube-apiserver and",
    "against the embedded server; statuses, reasons, causes' fields and objects are compared, prose is not.",
    "",
    `${cases} cases, ${found.length} with differences. Where two values are given, the first is kube-apiserver's.`,
    "",
    "| case | differences | why |",
    "|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}

/** Prints what was found; returns whether all is as listed. */
function report(scenarios: readonly Scenario[], found: readonly Difference[]): boolean {
  let asListed = true;
  for (const { name, lines } of found) {
    const reason = KNOWN_DIFFERENCES[name];
    asListed &&= reason !== undefined;
    process.stdout.write(`${reason === undefined ? "DIFFERS" : "known  "} ${name}\n`);
    process.stdout.write(
      lines
        .slice(0, 12)
        .map((line) => `        ${line}\n`)
        .join(""),
    );
  }
  for (const { name } of scenarios) {
    if (KNOWN_DIFFERENCES[name] !== undefined && !found.some((difference) => difference.name === name)) {
      asListed = false;
      process.stdout.write(`GONE    ${name}: strike it from known-differences.ts\n`);
    }
  }
  process.stdout.write(`conformance: ${scenarios.length} cases, ${found.length} differences\n`);
  return asListed;
}

/** Whether a run of all cases is worth its name: a file of cases that is not loaded any more must not go unnoticed. */
function areEnough(scenarios: readonly Scenario[]): boolean {
  const enough = scenarios.length >= FEWEST_CASES;
  if (!enough) {
    process.stdout.write(`only ${scenarios.length} cases of at least ${FEWEST_CASES} ran\n`);
  }
  return enough;
}

async function main(args: readonly string[]): Promise<void> {
  checkNames();
  const text = args.find((arg) => !arg.startsWith("--")) ?? "";
  const scenarios = SCENARIOS.filter(({ name }) => name.includes(text));
  const real = await startReal();
  try {
    const embedded = await startEmbedded();
    try {
      const found = await compare(scenarios, real, embedded, args.includes("--show"));
      if (args.includes("--write-docs")) {
        writeFileSync(DOCS, documentation(scenarios.length, found));
      }
      const asListed = report(scenarios, found);
      process.exitCode = asListed && (text !== "" || areEnough(scenarios)) ? 0 : 1;
    } finally {
      await embedded.stop();
    }
  } finally {
    await real.stop();
  }
}

await main(process.argv.slice(2));
