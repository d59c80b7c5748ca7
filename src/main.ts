#!/usr/bin/env node
/** The `satellites` command. The only file that reads the environment; commands/ wires one process each. */
import { createProgram } from "./command-line.ts";

await createProgram(process.env).parseAsync();
