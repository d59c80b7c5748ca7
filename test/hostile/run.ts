// Attacks a router: node test/hostile/run.ts [seed] [part of an attack's name]
// The last line says how many inputs were sent and how many attacks did harm.
import process from "node:process";

import { ATTACKS, runSuite, type Result } from "./suite.ts";

const seed = Number(process.argv[2] ?? "1");
const part = process.argv[3] ?? "";

function show({ name, inputs, figure, served, slowestMs, rssMiB, problems }: Result): void {
  console.log(
    `${name.padEnd(48)} ${String(inputs).padStart(6)}  ${figure}; ` +
      `beside it ${served} served, the slowest in ${Math.round(slowestMs)} ms; ${rssMiB} MiB`,
  );
  for (const problem of problems) {
    console.log(`  FAILED: ${problem}`);
  }
}

console.log(`seed ${seed}`);
const attacks = ATTACKS.filter(({ name }) => name.includes(part));
const results = await runSuite({ attacks, seed, scale: 1, onResult: show });
const inputs = results.reduce((sum, result) => sum + result.inputs, 0);
const failures = results.filter(({ problems }) => problems.length > 0).length;
console.log(`hostile: ${inputs} inputs, ${failures} failures`);
process.exitCode = failures === 0 ? 0 : 1;
