import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { systemClock } from "../base/clock.ts";
import { SatelliteError } from "../base/errors.ts";
import { kubectlArguments } from "./arguments.ts";
import { addCommands } from "./command-line.ts";
import type { CliContext } from "./context.ts";

/** What a process gives a command: `process` itself. */
export type CliProcess = Pick<
  NodeJS.Process,
  "env" | "argv" | "exitCode" | "stdout" | "stderr" | "stdin" | "once"
>;

/** Runs `kubectl satellite` to its end. @param version of the package */
export async function runPlugin(process: CliProcess, version: string): Promise<void> {
  const program = new Command("kubectl-satellite")
    .usage("[command] [flags]")
    .description("Satellites: VMs that sleep when nobody uses them and wake for the next request")
    .version(version, "-V, --version")
    .helpCommand(true);
  addCommands(program, () => cliContext(process));
  if (process.argv.length <= 2) {
    process.stdout.write(program.helpInformation());
    return;
  }
  await program.parseAsync(kubectlArguments(process.argv.slice(2)), { from: "user" });
}

/** The context of this process. */
export function cliContext(process: Omit<CliProcess, "argv">): CliContext {
  const { env, stdout, stderr, stdin } = process;
  keepCompiledCode(env);
  const stopping = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.once(name, () => stopping.abort(new SatelliteError("Stopped", `stopped by ${name}`)));
  }
  // Whoever reads may stop to, as in `… | head`.
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") {
      throw error;
    }
    stopping.abort(error);
  });
  // There is nowhere to say that nothing can be said.
  stderr.on("error", () => {});
  return {
    environment: env,
    clock: systemClock,
    random: Math.random,
    out: stdout,
    err: stderr,
    stdin,
    setExitCode: (code) => {
      process.exitCode = code;
    },
    stop: stopping.signal,
  };
}

/** Keeps compiled code in a folder of the user's own, which halves the time to start. */
function keepCompiledCode(environment: NodeJS.ProcessEnv): void {
  const cache = environment["XDG_CACHE_HOME"] ?? join(environment["HOME"] ?? homedir(), ".cache");
  enableCompileCache(join(cache, "satellites", "compiled"));
}
