#!/usr/bin/env node
/** `kubectl satellite`, as kubectl finds it in PATH: the commands for people alone. */
import manifest from "../package.json" with { type: "json" };
import { nodeProblem } from "./base/node-version.ts";

// What an older Node.js cannot load is loaded after this.
const problem = nodeProblem(process.versions.node, manifest.engines.node);
if (problem === undefined) {
  const { runPlugin } = await import("./cli/program.ts");
  await runPlugin(process, manifest.version);
} else {
  console.error(problem);
  process.exitCode = 1;
}
