import { connect, type ClientHttp2Session } from "node:http2";

import { pause } from "./attack.ts";

const DEADLINE_MS = 10_000;
const PAUSE_MS = 5;

/** A client that behaves: one gRPC-like echo after the other on one connection, until it is stopped. */
export class GoodClient {
  readonly #origin: string;
  #session: ClientHttp2Session;
  #stopped = false;
  #ended = 0;
  #running: Promise<void>;
  succeeded = 0;
  readonly failures: string[] = [];
  slowestMs = 0;

  /** @param isTls whether the router serves TLS; its certificate is not checked */
  constructor(port: number, isTls: boolean = false) {
    this.#origin = `${isTls ? "https" : "http"}://127.0.0.1:${port}`;
    this.#session = this.#connect();
    this.#running = this.#run();
  }

  /** Takes what happened since the last time. */
  take(): { readonly succeeded: number; readonly failures: readonly string[]; readonly slowestMs: number } {
    const taken = {
      succeeded: this.succeeded,
      failures: this.failures.splice(0),
      slowestMs: this.slowestMs,
    };
    this.succeeded = 0;
    this.slowestMs = 0;
    return taken;
  }

  /** Resolves when a call that began after now has ended. */
  async settle(): Promise<void> {
    const before = this.#ended;
    while (this.#ended < before + 2) {
      await pause(PAUSE_MS);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    this.#session.destroy();
  }

  #connect(): ClientHttp2Session {
    const session = connect(this.#origin, { rejectUnauthorized: false });
    session.on("error", (error) => this.failures.push(`its connection failed: ${error.message}`));
    return session;
  }

  async #run(): Promise<void> {
    for (let count = 0; !this.#stopped; count += 1) {
      const startedMs = performance.now();
      const problem = await this.#call(`message ${count}`);
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startedMs);
      this.#ended += 1;
      if (problem === undefined) {
        this.succeeded += 1;
      } else {
        this.failures.push(problem);
      }
      if (this.#session.closed || this.#session.destroyed) {
        this.#session = this.#connect();
      }
      await pause(PAUSE_MS);
    }
  }

  #call(message: string): Promise<string | undefined> {
    const stream = this.#session.request({
      ":method": "POST",
      ":path": "/test.Service/Echo",
      "content-type": "application/grpc",
      te: "trailers",
      "satellite-name": "ada",
      "satellite-namespace": "team-a",
    });
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve(`no answer in ${DEADLINE_MS} ms`);
        stream.close();
      }, DEADLINE_MS);
      let status: unknown;
      let body = "";
      stream.setEncoding("utf8");
      stream.on("response", (headers) => {
        status = headers["grpc-status"];
      });
      stream.on("trailers", (trailers) => {
        status = trailers["grpc-status"];
      });
      stream.on("data", (chunk: string) => {
        body += chunk;
      });
      stream.on("error", () => {});
      stream.once("close", () => {
        clearTimeout(timer);
        const isRight = status === "0" && body === message;
        resolve(isRight ? undefined : `grpc-status ${String(status)}, RST code ${stream.rstCode}`);
      });
      stream.end(message);
    });
  }
}
