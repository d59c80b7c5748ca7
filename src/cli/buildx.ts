import { spawn } from "node:child_process";
import { once } from "node:events";
import { SatelliteError } from "../base/errors.ts";
import { untilAborted } from "../base/abort.ts";
import type { ConnectFlags } from "./connect.ts";
import type { CliContext } from "./context.ts";
import { openProxy, type OpenProxy } from "./proxy.ts";
import type { RouterFlags } from "./router-flags.ts";

/** Flags of `buildx`. */
export interface BuildxFlags extends RouterFlags {
  /** Name of the builder; the first satellite's when absent. */
  readonly builder?: string;
  /** Make it the one that docker buildx uses by default. */
  readonly use?: boolean;
}

/**
 * Makes one buildx builder of one or several satellites, each a node behind a proxy of its own, and removes it at the end.
 *
 * @throws SatelliteError `BuildxFailed` with buildx's own words
 */
export async function buildx(
  names: readonly string[],
  flags: ConnectFlags & BuildxFlags,
  context: CliContext,
): Promise<void> {
  const builder = flags.builder ?? names[0] ?? "";
  const proxies: OpenProxy[] = [];
  const made: string[] = [];
  try {
    for (const name of names) {
      const opened = await openProxy(name, { port: 0 }, flags, context);
      proxies.push(opened);
      const append = made.length > 0 ? ["--append"] : [];
      await runBuildx(
        ["create", `--name=${builder}`, `--node=${name}`, "--driver=remote", ...append, opened.local.url],
        context,
      );
      made.push(name);
      context.err.write(`builder ${builder}: node ${name} at ${opened.local.url}, ${opened.description}\n`);
    }
    if (flags.use === true) {
      await runBuildx(["use", builder], context);
    }
    context.out.write(`docker buildx build --builder ${builder} .\n`);
    context.err.write("the builder is there until this command ends (Ctrl-C)\n");
    await untilAborted(context.stop);
  } finally {
    if (made.length > 0) {
      await runBuildx(["rm", "--force", builder], context);
    }
    await Promise.all(proxies.map((opened) => opened.close()));
  }
}

/** `docker buildx`, or the plug-in by itself where BUILDX names it. */
async function runBuildx(args: readonly string[], { environment }: CliContext): Promise<void> {
  const own = environment["BUILDX"];
  const [program, ...before] = own === undefined ? ["docker", "buildx"] : [own];
  const child = spawn(program ?? "docker", [...before, ...args], {
    stdio: ["ignore", "ignore", "pipe"],
    env: environment,
  });
  let words = "";
  child.stderr.on("data", (chunk: Buffer) => {
    words += chunk.toString();
  });
  try {
    const [code] = (await once(child, "close")) as [number | null];
    if (code === 0) {
      return;
    }
  } catch (error) {
    throw new SatelliteError(
      "BuildxFailed",
      "docker is not in PATH; install Docker's command line with buildx, or name the plug-in itself: BUILDX=/path/to/docker-buildx",
      { cause: error },
    );
  }
  throw new SatelliteError("BuildxFailed", `docker buildx ${args[0] ?? ""}: ${words.trim()}`);
}
