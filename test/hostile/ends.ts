// Ends connections in every way, at every moment, by client and by VM, beside a client that must not notice:
//   node test/hostile/ends.ts [--seconds N] [--tls] [--seed N] [--only CONVERSATION]
// The last line says how many connections were made, how often the router's process ended, and what else went wrong.
import process from "node:process";
import { parseArgs } from "node:util";

import { runEnds } from "./ends/suite.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    tls: { type: "boolean", default: false },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" },
  },
});
const startedMs = performance.now();
const { connections, endedByVm, exits, failures, served } = await runEnds({
  isTls: values.tls,
  seed: Number(values.seed),
  seconds: Number(values.seconds),
  only: values.only,
});
for (const exit of exits) {
  console.log(`EXIT ${exit}`);
}
for (const [failure, times] of counted(failures)) {
  console.log(`FAILED ${failure}${times > 1 ? ` (${times} times)` : ""}`);
}
console.log(
  `${values.tls ? "TLS" : "plain"}, seed ${values.seed}: ` +
    `${((performance.now() - startedMs) / 1000).toFixed(1)} s; the VM ended ${endedByVm} connections; ` +
    `beside them ${served} calls were answered`,
);
console.log(`ends: ${connections} connections, ${exits.length} exits, ${failures.length} failures`);
process.exitCode = exits.length + failures.length === 0 ? 0 : 1;

function counted(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return counts;
}
