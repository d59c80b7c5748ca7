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
   * @throws Error when it ends before
   */
  static async start(program: string, args: readonly string[] = []): Promise<Child> {
    const child = fork(path.join(import.meta.dirname, program), args, { execArgv: ["--expose-gc"] });
    const gone = new AbortController();
    child.once("exit", () => gone.abort(new Error(`${program} ended before it listened`)));
    const [message] = (await once(child, "message", { signal: gone.signal })) as [{ port: number }];
    return new Child(child, message.port);
  }

  get isAlive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Resident memory after a garbage collection, in bytes. */
  async rssBytes(): Promise<number> {
    const answer = once(this.#process, "message") as Promise<[{ rssBytes: number }]>;
    this.#process.send("memory");
    return (await answer)[0].rssBytes;
  }

  async stop(): Promise<void> {
    if (this.isAlive) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGKILL");
      await ended;
    }
  }
}
