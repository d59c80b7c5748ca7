#!/usr/bin/env node
/** The `satellites` command. It and kubectl-satellite.ts alone read the environment; commands/ wires one process each. */
import manifest from "../package.json" with { type: "json" };
import { nodeProblem } from "./base/node-version.ts";

// What an older Node.js cannot load is loaded after this.
const problem = nodeProblem(process.versions.node, manifest.engines.node);
if (problem === undefined) {
  const { createProgram } = await import("./command-line.ts");
  const { cliContext } = await import("./cli/program.ts");
  const { kubectlArguments } = await import("./cli/arguments.ts");
  const args = kubectlArguments(process.argv.slice(2));
  await createProgram(process.env, () => cliContext(process)).parseAsync(args, { from: "user" });
} else {
  console.error(problem);
  process.exitCode = 1;
}
