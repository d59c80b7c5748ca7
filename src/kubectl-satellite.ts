#!/usr/bin/env node
/** `kubectl satellite`, as kubectl finds it in PATH: the commands for people alone. */
import manifest from "../package.json" with { type: "json" };
import { runPlugin } from "./cli/program.ts";

await runPlugin(process, manifest.version);
