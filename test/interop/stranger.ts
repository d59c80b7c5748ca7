import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** How a program ended. */
export interface Outcome {
  readonly status: number;
  readonly output: string;
}

/** How long one program may take, in milliseconds, unless it is told otherwise. */
const PATIENCE_MS = 120_000;

/** Runs a program to its end and keeps what it wrote; one that takes too long is ended. */
export function runToEnd(
  program: string,
  args: readonly string[],
  patienceMs = PATIENCE_MS,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], timeout: patienceMs });
    let output = "";
    const take = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("error", (error) => resolve({ status: 127, output: error.message }));
    child.once("close", (code, signal) => {
      resolve({ status: code ?? 1, output: signal === null ? output : `${output}ended by ${signal}` });
    });
  });
}

/**
 * A client in another language with one channel, which is told what to do line by line: "call ID SIZE", "open ID SIZE",
 * "say ID SIZE", "end ID" and what else its program knows. It answers "ok ID" or "failed ID why".
 */
export class Stranger {
  readonly #child;
  readonly #waiting = new Map<string, (line: string) => void>();
  readonly #ended: Promise<void>;
  #errors = "";
  #count = 0;

  constructor(program: string, args: readonly string[]) {
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stderr.on("data", (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    this.#child.stdin.on("error", () => {});
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      const [, id = ""] = line.split(" ", 2);
      this.#waiting.get(id)?.(line);
      this.#waiting.delete(id);
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        this.#errors += error.message;
      });
      this.#child.once("close", () => {
        for (const tell of this.#waiting.values()) {
          tell(`failed - the client ended: ${this.#errors}`);
        }
        resolve();
      });
    });
  }

  /** A name that was not given yet. */
  name(): string {
    this.#count += 1;
    return `n${this.#count}`;
  }

  /**
   * Has it do something.
   *
   * @param verb what, such as "call"
   * @throws Error that says why it did not succeed, or that it took too long
   */
  async tell(verb: string, id: string, size?: number): Promise<void> {
    const answer = new Promise<string>((resolve) => {
      this.#waiting.set(id, resolve);
    });
    this.#child.stdin.write(`${verb} ${id}${size === undefined ? "" : ` ${size}`}\n`);
    const timer = setTimeout(() => {
      this.#waiting.get(id)?.(`failed ${id} no answer within ${PATIENCE_MS / 1000} s`);
    }, PATIENCE_MS);
    const line = await answer;
    clearTimeout(timer);
    if (!line.startsWith("ok ")) {
      throw new Error(
        `${verb}${size === undefined ? "" : ` of ${size} bytes`}: ${line.split(" ").slice(2).join(" ")}`,
      );
    }
  }

  /** A call whose answer is compared with its request. */
  call(size: number, verb = "call"): Promise<void> {
    return this.tell(verb, this.name(), size);
  }

  /** Ends it and whatever it still does. */
  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
