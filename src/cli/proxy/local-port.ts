import { once } from "node:events";
import { chmodSync, rmSync, statSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { backoffMs, type BackoffOptions } from "../../base/backoff.ts";
import { sleep } from "../../base/clock.ts";
import { SatelliteError, toError } from "../../base/errors.ts";
import { CLIENT_PREFACE } from "../../http2/protocol.ts";
import type { CliContext } from "../context.ts";
import type { SatelliteKey } from "../follow.ts";
import { encodeFields, type Fields, HeaderInjector } from "./header-injector.ts";
import { refuseCalls } from "./refusing-server.ts";
import type { Route } from "./route.ts";
import type { TokenSource } from "./token-source.ts";

/** Where clients connect: a port of the loopback, or a Unix socket. */
export type LocalAddress = { readonly port: number } | { readonly socket: string };

/** What a {@link LocalPort} passes connections on with. */
export interface LocalPortOptions {
  readonly satellite: SatelliteKey;
  readonly route: Route;
  /** Absent where the router asks for no token. */
  readonly tokens: TokenSource | undefined;
  readonly context: Pick<CliContext, "clock" | "random">;
  /** Told what a person should know; the same thing again once a minute at most. */
  readonly say: (line: string) => void;
  /** Milliseconds for which a router is tried to be reached, for each connection. Default 15,000. */
  readonly patienceMs?: number;
}

const NO_BYTES = Buffer.alloc(0);
const PATIENCE_MS = 15_000;
/** Longest that one attempt to connect may take. */
const DIAL_MS = 10_000;
const BACKOFF: BackoffOptions = { baseMs: 200, maxMs: 2_000, jitter: 0.3 };

/**
 * A local port behind which a satellite is. Each connection is passed on over one of its own to a router, byte by byte; to
 * each request are added the satellite's name and a token.
 */
export class LocalPort {
  readonly #options: LocalPortOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();
  readonly #ending = new AbortController();

  private constructor(options: LocalPortOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#track(socket);
      this.#serve(socket).catch((error: unknown) => {
        options.say(toError(error).message);
        socket.destroy();
      });
    });
  }

  /** @throws SatelliteError `CannotListen` */
  static async listen(at: LocalAddress, options: LocalPortOptions): Promise<LocalPort> {
    const local = new LocalPort(options);
    if ("socket" in at) {
      removeStale(at.socket);
    }
    local.#server.listen("socket" in at ? { path: at.socket } : { host: "127.0.0.1", port: at.port });
    try {
      await once(local.#server, "listening");
    } catch (error) {
      const where = "socket" in at ? at.socket : `127.0.0.1:${at.port}`;
      throw new SatelliteError(
        "CannotListen",
        `cannot listen on ${where}: ${toError(error).message}; choose another with --port or --socket`,
        { cause: error },
      );
    }
    if ("socket" in at) {
      chmodSync(at.socket, 0o600);
    }
    return local;
  }

  /** "tcp://127.0.0.1:PORT" or "unix:///PATH", as BuildKit's clients take it. */
  get url(): string {
    const address = this.#server.address();
    return address === null || typeof address === "string"
      ? `unix://${address ?? ""}`
      : `tcp://127.0.0.1:${address.port}`;
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    this.#ending.abort();
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await closed;
  }

  #track(socket: Duplex): void {
    this.#sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#sockets.delete(socket));
  }

  async #serve(client: Socket): Promise<void> {
    const received: Buffer[] = [];
    if (!(await beginsWithPreface(client, received))) {
      client.end(
        "HTTP/1.1 505 HTTP Version Not Supported\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\n" +
          "Here is gRPC over HTTP/2 without TLS: dial it with a gRPC or BuildKit client, in plain text.\n",
      );
      return;
    }
    let router: Duplex;
    try {
      router = await this.#dial(client);
    } catch (error) {
      const { message } = toError(error);
      if (!client.destroyed && !this.#ending.signal.aborted) {
        this.#options.say(message);
        refuseCalls(client, received, message);
      }
      return;
    }
    if (client.destroyed) {
      router.destroy();
      return;
    }
    this.#track(router);
    router.once("error", (error) => {
      this.#options.say(`the connection to the router broke: ${error.message}`);
    });
    // What has come from the router still goes out.
    router.once("close", () => client.destroySoon());
    client.once("close", () => router.destroy());
    router.pipe(client);
    await this.#passOn(client, received, router);
  }

  /** Connects to a router, again and again until patience runs out or the client gives up. */
  async #dial(client: Socket): Promise<Duplex> {
    const { route, tokens, context, patienceMs = PATIENCE_MS } = this.#options;
    const { clock, random } = context;
    const gone = new AbortController();
    client.once("close", () => gone.abort());
    const untilMs = clock.monotonicMs() + patienceMs;
    for (let attempt = 0; ; attempt += 1) {
      const limit = AbortSignal.any([this.#ending.signal, gone.signal, AbortSignal.timeout(DIAL_MS)]);
      try {
        await tokens?.get();
        return await route.dial(limit);
      } catch (error) {
        const delayMs = backoffMs(attempt, BACKOFF, random);
        const isOver =
          hasCode(error, "RouterUntrusted") ||
          clock.monotonicMs() + delayMs > untilMs ||
          gone.signal.aborted ||
          this.#ending.signal.aborted;
        if (isOver) {
          throw error;
        }
        await sleep(clock, delayMs, AbortSignal.any([this.#ending.signal, gone.signal]));
      }
    }
  }

  async #passOn(client: Socket, received: readonly Buffer[], router: Duplex): Promise<void> {
    const injector = new HeaderInjector();
    const fields = new RequestFields(this.#options);
    const send = async (chunk: Buffer): Promise<void> => {
      let hasRoom = true;
      const write = (parts: readonly Buffer[]): void => {
        router.cork();
        for (const bytes of parts) {
          hasRoom = router.write(bytes);
        }
        router.uncork();
      };
      write(injector.push(chunk, fields.current()));
      while (injector.wantsFields) {
        // Streams that are open go on without a token: only what begins now waits for one.
        write(injector.push(NO_BYTES, await fields.get()));
      }
      if (!hasRoom && !router.destroyed) {
        await hasRoomOrEnds(router);
      }
    };
    try {
      for (const chunk of received) {
        await send(chunk);
      }
      for await (const chunk of client) {
        if (router.destroyed) {
          return;
        }
        await send(chunk as Buffer);
      }
      router.end();
    } catch {
      router.destroy();
      client.destroy();
    }
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof SatelliteError && error.code === code;

/** What is added to each request, encoded once for each token. */
class RequestFields {
  readonly #options: LocalPortOptions;
  #known: { readonly token: string | undefined; readonly block: Buffer } | undefined;

  constructor(options: LocalPortOptions) {
    this.#options = options;
  }

  /** The fields of now; absent while a token is needed and there is none. */
  current(): Buffer | undefined {
    const { tokens } = this.#options;
    const token = tokens?.current();
    return tokens !== undefined && token === undefined ? undefined : this.#block(token);
  }

  /** Waits for a token. Where none is to be had the router says what it thinks of a request without one. */
  async get(): Promise<Buffer> {
    const { tokens, say } = this.#options;
    try {
      return this.#block(await tokens?.get());
    } catch (error) {
      say(toError(error).message);
      return this.#block(undefined);
    }
  }

  #block(token: string | undefined): Buffer {
    if (this.#known === undefined || this.#known.token !== token) {
      this.#known = { token, block: encodeFields(this.#fields(token)) };
    }
    return this.#known.block;
  }

  #fields(token: string | undefined): Fields {
    const { namespace, name } = this.#options.satellite;
    return [
      ["satellite-name", name],
      ["satellite-namespace", namespace],
      ...(token === undefined ? [] : [["authorization", `Bearer ${token}`] as const]),
    ];
  }
}

/** Resolves when more may be written, or nothing ever again. */
function hasRoomOrEnds(stream: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.on("drain", done);
    stream.on("close", done);
  });
}

/** Reads until it is clear whether an HTTP/2 client speaks. @param received what was read */
async function beginsWithPreface(client: Socket, received: Buffer[]): Promise<boolean> {
  for (;;) {
    const chunk = client.read() as Buffer | null;
    if (chunk === null) {
      const more = await Promise.race(
        ["readable", "end", "close"].map((event) => once(client, event).then(() => event)),
      );
      if (more !== "readable") {
        return false;
      }
      continue;
    }
    received.push(chunk);
    const begin = Buffer.concat(received).subarray(0, CLIENT_PREFACE.length);
    if (!begin.equals(CLIENT_PREFACE.subarray(0, begin.length))) {
      return false;
    }
    if (begin.length === CLIENT_PREFACE.length) {
      return true;
    }
  }
}

/** Removes a socket that an earlier process left; anything else stays and makes `listen` fail. */
function removeStale(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() === true) {
    rmSync(path);
  }
}
