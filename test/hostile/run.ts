// Attacks a router both ways: node test/hostile/run.ts [seed] [part of an attack's name]
// The last line says how many inputs were sent and how many attacks did harm.
import process from "node:process";

import { ATTACKS, runSuite, type Result } from "./suite.ts";
import { WAYS } from "../router/support/router-bench.ts";

const seed = Number(process.argv[2] ?? "1");
const part = process.argv[3] ?? "";

function show({ way, name, inputs, figure, served, slowestMs, rssMiB, problems }: Result): void {
  console.log(
    `${way.padEnd(11)} ${name.padEnd(48)} ${String(inputs).padStart(6)}  ${figure}; ` +
      `beside it ${served} served, the slowest in ${Math.round(slowestMs)} ms; ${rssMiB} MiB`,
  );
  for (const problem of problems) {
    console.log(`${way.padEnd(11)}   FAILED: ${problem}`);
  }
}

console.log(`seed ${seed}`);
const results: Result[] = [];
for (const way of WAYS) {
  const attacks = ATTACKS.filter(({ name }) => name.includes(part));
  results.push(...(await runSuite({ way, attacks, seed, scale: 1, onResult: show })));
}
const inputs = results.reduce((sum, result) => sum + result.inputs, 0);
const failures = results.filter(({ problems }) => problems.length > 0).length;
console.log(`hostile: ${inputs} inputs, ${failures} failures`);
process.exitCode = failures === 0 ? 0 : 1;
