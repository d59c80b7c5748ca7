import { mkdtempSync, rmSync } from "node:fs";
import { connect, constants, type ClientHttp2Session } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { freePort, startProcess, type TestProcess } from "../support/process.ts";
import { findOnPath, requireTool } from "../tools/catalog.ts";

/** How long it may take to open its state and listen; a machine under load is slow. */
const PATIENCE_MS = 60_000;
const POLL_MS = 50;

/** What its worker says of the boot, as in a VM (src/machines/buildkit/units.ts). */
export const BOOT_ID = "0123456789abcdef0123456789abcdef";

/** Whether somebody speaks HTTP/2 there. */
function speaksHttp2(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const session: ClientHttp2Session = connect(`http://${host}:${port}`);
    session.once("remoteSettings", () => {
      resolve(true);
      session.close();
    });
    session.once("error", () => resolve(false));
    session.once("close", () => resolve(false));
    session.once("goaway", (code) => session.destroy(undefined, code || constants.NGHTTP2_NO_ERROR));
  });
}

/** A real buildkitd, as it runs in a VM: containers by runc, in the network of this machine. */
export class BuildKitD {
  readonly port: number;
  readonly #process: TestProcess;
  readonly #directory: string;

  private constructor(port: number, process: TestProcess, directory: string) {
    this.port = port;
    this.#process = process;
    this.#directory = directory;
  }

  /**
   * Starts it with empty state.
   *
   * @param host address that it listens on
   * @throws Error that says what is missing, or its last lines when it does not come up
   */
  static async start(host = "127.0.0.1"): Promise<BuildKitD> {
    const runc = findOnPath("runc") ?? findOnPath("runc", { PATH: "/usr/sbin:/sbin" });
    if (runc === undefined) {
      throw new Error("runc is not installed (Debian: runc)");
    }
    const directory = mkdtempSync(join(tmpdir(), "satellites-buildkitd-"));
    const port = await freePort();
    const args = {
      root: join(directory, "state"),
      addr: `tcp://${host}:${port}`,
      config: "/dev/null",
      "containerd-worker": "false",
      "oci-worker": "true",
      "oci-worker-binary": runc,
      // Works on any file system; what is built here is small.
      "oci-worker-snapshotter": "native",
      "oci-worker-net": "host",
      "oci-worker-labels": `dev.satellites.boot-id=${BOOT_ID}`,
    };
    const process = await startProcess(
      "buildkitd",
      requireTool("buildkitd"),
      Object.entries(args).map(([name, value]) => `--${name}=${value}`),
      join(directory, "buildkitd.log"),
    );
    const daemon = new BuildKitD(port, process, directory);
    const untilMs = performance.now() + PATIENCE_MS;
    while (!(await speaksHttp2(host, port))) {
      if (!process.isRunning() || performance.now() > untilMs) {
        const lines = process.logTail();
        await daemon.stop();
        throw new Error(`buildkitd does not serve; its last lines:\n${lines}`);
      }
      await new Promise<void>((resolve) => {
        setTimeout(resolve, POLL_MS);
      });
    }
    return daemon;
  }

  /** End of what it logged. */
  logTail(lines?: number): string {
    return this.#process.logTail(lines);
  }

  /** Ends it and removes all that it kept. */
  async stop(): Promise<void> {
    await this.#process.stop("SIGTERM");
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
