// Runs h2spec against a VM alone and against a router before it: node test/hostile/h2spec-listing.ts
// It lists every case that fails anywhere, as a Markdown table. Exit code 1: a router fails what the VM alone passes.
import process from "node:process";

import { Child } from "./child.ts";
import { findH2spec, report, reportThrough, type Report } from "./h2spec.ts";

const program = findH2spec();
if (program === undefined) {
  throw new Error("h2spec is not built; run: node test/tools/build.ts h2spec");
}
const vm = await Child.start("vm-process.ts");
const alone = await report(program, vm.port, "vm");
const columns: [name: string, found: Report][] = [["the VM alone", alone]];
const router = await Child.start("router-process.ts", [String(vm.port), String(vm.port)]);
try {
  columns.push(["the router", await reportThrough(program, router.port, alone)]);
} finally {
  await router.stop();
}
await vm.stop();

const titles = new Set(columns.flatMap(([, { failed }]) => [...failed]));
console.log(`| case | ${columns.map(([name]) => name).join(" | ")} |`);
console.log(`|---|${columns.map(() => "---").join("|")}|`);
for (const title of [...titles].toSorted()) {
  const marks = columns.map(([, { failed }]) => (failed.has(title) ? "fails" : "passes"));
  console.log(`| ${title} | ${marks.join(" | ")} |`);
}
console.log(
  `h2spec: ${columns.map(([name, { cases, failed }]) => `${name} ${cases - failed.size}/${cases}`).join(", ")}`,
);
const worse = [...titles].filter(
  (title) => !alone.failed.has(title) && columns.some(([, { failed }]) => failed.has(title)),
);
process.exitCode = worse.length === 0 && alone.cases > 0 ? 0 : 1;
