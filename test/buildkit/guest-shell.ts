import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const POLL_MS = 100;
const PATIENCE_MS = 60_000;

interface ExecStatus {
  readonly exited: boolean;
  readonly exitcode?: number;
  readonly "out-data"?: string;
  readonly "err-data"?: string;
}

/** Runs commands in a VM as its root, by the agent on its serial port (QEMU guest agent, "guest-exec"). */
export class GuestShell {
  readonly #socket: string;

  /** @param socket the VM's agent.sock */
  constructor(socket: string) {
    this.#socket = socket;
  }

  /**
   * Runs a command of the shell.
   *
   * @returns what it wrote
   * @throws Error when it fails, or the agent does not answer within a minute
   */
  async run(command: string): Promise<string> {
    const { pid } = await this.#ask<{ pid: number }>("guest-exec", {
      path: "/bin/sh",
      arg: ["-c", command],
      "capture-output": true,
    });
    const untilMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const status = await this.#ask<ExecStatus>("guest-exec-status", { pid });
      const text = (data = ""): string => Buffer.from(data, "base64").toString().trim();
      if (status.exited) {
        if (status.exitcode !== 0) {
          throw new Error(`"${command}" in the VM: ${text(status["err-data"])} ${text(status["out-data"])}`);
        }
        return text(status["out-data"]);
      }
      if (performance.now() > untilMs) {
        throw new Error(`"${command}" did not end in the VM`);
      }
      await delay(POLL_MS);
    }
  }

  #ask<T>(execute: string, args: object): Promise<T> {
    return new Promise((resolve, reject) => {
      const socket = connect({ path: this.#socket });
      const timer = setTimeout(() => socket.destroy(new Error("the VM's agent is silent")), PATIENCE_MS);
      let text = "";
      socket.setEncoding("utf8");
      socket.on("data", (chunk: string) => {
        const lines = (text + chunk).split("\n");
        text = lines.pop() ?? "";
        for (const line of lines) {
          const answer = JSON.parse(line) as { return?: T; error?: { desc: string } };
          if (answer.error?.desc.startsWith("JSON parse error") === true) {
            continue; // To the 0xFF.
          }
          if (answer.error === undefined) {
            resolve(answer.return as T);
          } else {
            reject(new Error(`${execute}: ${answer.error.desc}`));
          }
          socket.destroy();
        }
      });
      socket.once("error", reject);
      socket.once("close", () => {
        clearTimeout(timer);
        reject(new Error(`the VM's agent did not answer ${execute}`));
      });
      // 0xFF ends whatever a client before us left half-written.
      socket.write(
        Buffer.concat([Buffer.of(0xff), Buffer.from(`${JSON.stringify({ execute, arguments: args })}\n`)]),
      );
    });
  }
}
