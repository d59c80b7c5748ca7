import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { findOnPath, requireTool } from "../tools/catalog.ts";

/** A running client; what it wrote is known at its end. */
export interface RunningClient {
  readonly child: ChildProcess;
  /** Never rejects. */
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>;
}

/** Folder of one test: build contexts, results, and the clients' own settings. */
export class Workshop {
  readonly directory = mkdtempSync(join(tmpdir(), "satellites-builds-"));
  readonly #children = new Set<ChildProcess>();

  /** Ends what still runs and removes everything. */
  async close(): Promise<void> {
    for (const child of this.#children) {
      const ended = once(child, "close");
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }

  path(...parts: string[]): string {
    return join(this.directory, ...parts);
  }

  /**
   * A build context whose Dockerfile begins with an image that holds only busybox: nothing is pulled.
   *
   * @returns its path
   */
  context(
    name: string,
    instructions: readonly string[],
    files: Readonly<Record<string, Buffer>> = {},
  ): string {
    const folder = this.path(name);
    mkdirSync(folder, { recursive: true });
    const busybox = findOnPath("busybox") ?? findOnPath("busybox", { PATH: "/bin:/usr/bin" });
    if (busybox === undefined) {
      throw new Error("busybox is not installed (Debian: busybox-static)");
    }
    copyFileSync(busybox, join(folder, "busybox"));
    for (const [file, content] of Object.entries(files)) {
      writeFileSync(join(folder, file), content);
    }
    const shell = 'SHELL ["/bin/busybox", "sh", "-c"]';
    const lines = ["FROM scratch", "COPY busybox /bin/busybox", shell, ...instructions, ""];
    writeFileSync(join(folder, "Dockerfile"), lines.join("\n"));
    return folder;
  }

  /** Starts buildctl or buildx with settings of its own, so that nothing of this machine's user is read or changed. */
  run(program: "buildctl" | "buildx", args: readonly string[]): RunningClient {
    const child = spawn(requireTool(program), args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        PATH: process.env["PATH"],
        HOME: this.directory,
        DOCKER_CONFIG: this.path("docker"),
        BUILDX_CONFIG: this.path("buildx"),
      },
    });
    this.#children.add(child);
    let output = "";
    const take = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    const ended = once(child, "close").then(([code]) => {
      this.#children.delete(child);
      return { code: code as number | null, output };
    });
    return { child, ended };
  }

  /** `buildctl build` of a context into a folder. @param target options that name the router */
  buildctl(target: readonly string[], context: string, result: string): RunningClient {
    return this.run("buildctl", [
      ...target,
      "build",
      "--progress=plain",
      "--no-cache",
      "--frontend=dockerfile.v0",
      `--local=context=${context}`,
      `--local=dockerfile=${context}`,
      `--output=type=local,dest=${result}`,
    ]);
  }
}

/** An HTTP server that a step of a build asks, and that answers when the test lets it go on. */
export class BuildGate {
  readonly #server = createServer((_request, response) => {
    this.#waiting.push(response);
    response.once("close", () => {
      if (!response.writableFinished) {
        this.#broken.resolve();
      }
    });
    this.#reached.resolve();
  });
  readonly #waiting: ServerResponse[] = [];
  readonly #reached = Promise.withResolvers<void>();
  readonly #broken = Promise.withResolvers<void>();

  /** Resolves when a step has come here. */
  readonly reached = this.#reached.promise;
  /** Resolves when a step was ended before it was let go on. */
  readonly broken = this.#broken.promise;

  async listen(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  /** The step that waits here, and leaves its answer in /gate. */
  get step(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `RUN /bin/busybox wget -q -O /gate http://127.0.0.1:${port}/`;
  }

  open(): void {
    for (const response of this.#waiting.splice(0)) {
      response.end("opened");
    }
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
