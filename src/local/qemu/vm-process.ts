import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";

import { SatelliteError, toError } from "../../base/errors.ts";

/**
 * Starts QEMU with `-daemonize` among its arguments: the started program ends when the VM's sockets listen, and the VM
 * continues in the background.
 *
 * @throws SatelliteError `PortInUse` when a forwarded port is taken, `QemuFailed` with QEMU's own words otherwise
 */
export function startQemu(program: string, args: readonly string[], address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile(program, args, (error, _stdout, stderr) => {
      if (error === null) {
        resolve();
        return;
      }
      reject(
        forwardingError(stderr, address) ??
          new SatelliteError("QemuFailed", `QEMU did not start: ${stderr.trim() || error.message}`, {
            cause: error,
          }),
      );
    });
  });
}

/** The error for output in which QEMU says that it could not forward a port; undefined for other output. */
export function forwardingError(said: string, address: string): SatelliteError | undefined {
  const port = /could not set up host forwarding rule 'tcp:[^:]+:(\d+)/i.exec(said)?.[1];
  return port === undefined
    ? undefined
    : new SatelliteError(
        "PortInUse",
        `port ${port} at ${address} is in use; find the process that listens with "ss -ltnp" and end it, then try again`,
      );
}

/**
 * Process ID of the VM that a pidfile names, or undefined when none runs. The file can be stale and its number
 * reused, so the process must also have been started with this very pidfile.
 */
export async function runningPid(pidFile: string): Promise<number | undefined> {
  const pid = Number(await readTextIfThere(pidFile));
  if (!Number.isInteger(pid) || pid <= 0) {
    return undefined;
  }
  const argv = (await readTextIfThere(`/proc/${pid}/cmdline`)).split("\0");
  return argv.includes(pidFile) ? pid : undefined;
}

async function readTextIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (thrown) {
    const { code } = toError(thrown) as NodeJS.ErrnoException;
    // ESRCH: the process ended between open and read.
    if (code === "ENOENT" || code === "ESRCH") {
      return "";
    }
    throw thrown;
  }
}

/** Ends a process at once; harmless when it has ended already. */
export function killProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (thrown) {
    if ((toError(thrown) as NodeJS.ErrnoException).code !== "ESRCH") {
      throw thrown;
    }
  }
}
