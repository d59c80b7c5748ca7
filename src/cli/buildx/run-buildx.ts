import { spawn } from "node:child_process";
import { once } from "node:events";
import { SatelliteError } from "../../base/errors.ts";
import type { CliContext } from "../context.ts";

/** `docker buildx`, or the plug-in by itself where BUILDX names it. @throws SatelliteError `BuildxFailed` */
export async function runBuildx(
  args: readonly string[],
  { environment }: Pick<CliContext, "environment">,
): Promise<void> {
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
