import { execFile } from "node:child_process";

import { SatelliteError } from "../../base/errors.ts";

/** How a tool is run. */
export interface RunToolOptions {
  readonly cwd?: string;
  /** Environment; the caller's own when absent. */
  readonly env?: Readonly<Record<string, string>>;
}

const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/**
 * Runs a program to its end.
 *
 * @returns what it wrote to standard output
 * @throws SatelliteError `ToolFailed` with the last lines of its standard error
 */
export function runTool(
  program: string,
  args: readonly string[],
  options: RunToolOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { ...options, maxBuffer: MAX_OUTPUT_BYTES }, (error, stdout, stderr) => {
      if (error === null) {
        resolve(stdout);
        return;
      }
      const detail = stderr.trim().split("\n").slice(-5).join("\n") || error.message;
      reject(
        new SatelliteError("ToolFailed", `${program} ${args.join(" ")} failed: ${detail}`, { cause: error }),
      );
    });
  });
}
