#!/usr/bin/env node
/** The `satellites` command. It and kubectl-satellite.ts alone read the environment; commands/ wires one process each. */
import { kubectlArguments } from "./cli/arguments.ts";
import { cliContext } from "./cli/program.ts";
import { createProgram } from "./command-line.ts";

await createProgram(process.env, () => cliContext(process)).parseAsync(
  kubectlArguments(process.argv.slice(2)),
  { from: "user" },
);
