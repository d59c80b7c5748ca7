import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** What stands for a VM: something that listens on loopback while the satellite is awake. */
export interface Vm {
  readonly host: string;
  /** Where it listens, or listened last. */
  readonly port: number;
  readonly isRunning: boolean;
  /** Resolves when it listens. */
  start(): Promise<void>;
  /** Ends it as a power-off does: without a word to its clients. */
  stop(): Promise<void>;
}

/** grpc-go's interop service and an echo, in a process of its own. */
export class GrpcGoVm implements Vm {
  readonly host = "127.0.0.1";
  port = 0;
  /** Whether the next start is at another address, as after a relaunch. */
  moves = false;
  readonly #program: string;
  #mayStart: Promise<void> = Promise.resolve();
  #child: ChildProcess | undefined;

  /** @param program path of interop-peer */
  constructor(program: string) {
    this.#program = program;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** Lets starts wait until the gate is opened. */
  holdStart(): { readonly open: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#mayStart = promise;
    return { open: resolve };
  }

  async start(): Promise<void> {
    await this.#mayStart;
    const before = this.port;
    // Somebody may have taken the port of a VM that slept.
    await this.#listen(this.moves ? 0 : before).catch(() => this.#listen(0));
    if (this.moves && this.port === before) {
      await this.stop();
      await this.start();
    }
  }

  async #listen(port: number): Promise<void> {
    const child = spawn(this.#program, ["serve", `${this.host}:${port}`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const gone = new AbortController();
    child.once("exit", () => gone.abort(new Error("the VM's program ended before it listened")));
    const lines = createInterface({ input: child.stdout });
    const [line] = (await once(lines, "line", { signal: gone.signal })) as [string];
    this.port = Number(line.split(":").at(-1));
    this.#child = child;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
  }
}
