import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import path from "node:path";

/** The port of a server that listens on TCP. */
export function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === "string") {
    throw new Error("the server does not listen on TCP");
  }
  return address.port;
}

/** A server in a process of its own that tells its port and its memory. */
export class Child {
  readonly #process: ChildProcess;
  readonly port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#process = child;
    this.port = port;
  }

  /**
   * Starts a program of this folder and waits until it listens.
   *
   * @param onError takes what it writes to standard error; shown when absent
   * @throws Error when it ends before
   */
  static async start(
    program: string,
    args: readonly string[] = [],
    onError?: (text: string) => void,
  ): Promise<Child> {
    const child = fork(path.join(import.meta.dirname, program), args, {
      execArgv: ["--expose-gc"],
      stdio: ["ignore", "inherit", onError === undefined ? "inherit" : "pipe", "ipc"],
    });
    child.stderr?.on("data", (chunk: Buffer) => onError?.(chunk.toString()));
    const gone = new AbortController();
    child.once("exit", () => gone.abort(new Error(`${program} ended before it listened`)));
    const [message] = (await once(child, "message", { signal: gone.signal })) as [{ port: number }];
    return new Child(child, message.port);
  }

  get isAlive(): boolean {
    return this.#isRunning && this.#process.connected;
  }

  get #isRunning(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Resident memory after a garbage collection, in bytes. */
  async rssBytes(): Promise<number> {
    return (await this.ask<{ rssBytes: number }>()).rssBytes;
  }

  /**
   * What it answers to a message.
   *
   * @throws Error when it ends meanwhile
   */
  async ask<T>(): Promise<T> {
    const gone = new AbortController();
    const onExit = (): void => gone.abort(new Error("the process ended"));
    this.#process.once("exit", onExit);
    try {
      const answer = once(this.#process, "message", { signal: gone.signal }) as Promise<[T]>;
      this.#process.send("tell", (error) => (error === null ? undefined : gone.abort(error)));
      return (await answer)[0];
    } finally {
      this.#process.off("exit", onExit);
    }
  }

  async stop(): Promise<void> {
    if (this.#isRunning) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGKILL");
      await ended;
    }
  }
}
