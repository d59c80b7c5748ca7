import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type Clock, systemClock } from "../../src/base/clock.ts";

/** What stands between a client and a server. */
type Passage =
  /** Bytes pass. */
  | { readonly kind: "open" }
  /** Bytes pass from server to client with a delay, as over a long or crowded line. */
  | { readonly kind: "slow"; readonly delayMs: number }
  /** Nothing passes, as when packets are lost. Connections stay open. */
  | { readonly kind: "silent" };

/**
 * A TCP proxy in front of a server that delays, stops and breaks connections as networks do. It passes bytes
 * unchanged, so TLS is between client and server.
 */
export class TcpProxy {
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #clock: Clock;
  readonly #pairs = new Map<Socket, Socket>();
  #passage: Passage = { kind: "open" };

  private constructor(target: string, clock: Clock) {
    const { hostname, port } = new URL(target);
    this.#target = { host: hostname, port: Number(port) };
    this.#clock = clock;
    this.#server = createServer((client) => this.#accept(client));
  }

  /** @param target URL whose host and port the connections go to */
  static async start(target: string, clock: Clock = systemClock): Promise<TcpProxy> {
    const proxy = new TcpProxy(target, clock);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  /** "127.0.0.1:port" */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many connections pass through it now. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Passes nothing from now on; connections stay open. */
  cut(): void {
    this.#passage = { kind: "silent" };
    for (const [client, server] of this.#pairs) {
      client.pause();
      server.pause();
    }
  }

  /** Holds each piece of the server's answers back for so long. */
  slow(delayMs: number): void {
    this.#passage = { kind: "slow", delayMs };
  }

  /** Lets everything pass again, what was held back too. */
  mend(): void {
    this.#passage = { kind: "open" };
    for (const [client, server] of this.#pairs) {
      client.resume();
      server.resume();
    }
  }

  /** Resets all connections, whatever they are carrying; new ones are accepted. */
  reset(): void {
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  /** Ends all connections and accepts no more. */
  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.reset();
    await closed;
  }

  #accept(client: Socket): void {
    const server = connect(this.#target);
    this.#pairs.set(client, server);
    this.#forward(client, server, () => 0);
    this.#forward(server, client, () => (this.#passage.kind === "slow" ? this.#passage.delayMs : 0));
    if (this.#passage.kind === "silent") {
      client.pause();
      server.pause();
    }
  }

  /** Passes bytes and the end of the connection on, in order, each after the delay that holds when it comes. */
  #forward(from: Socket, to: Socket, delayMs: () => number): void {
    from.on("data", (chunk) => this.#after(delayMs(), () => to.destroyed || to.write(chunk)));
    from.on("end", () => this.#after(delayMs(), () => to.end()));
    from.on("error", () => to.destroy());
    from.on("close", () => {
      this.#pairs.delete(from);
      this.#after(delayMs(), () => to.destroySoon());
    });
  }

  #after(delayMs: number, act: () => void): void {
    if (delayMs === 0) {
      act();
    } else {
      this.#clock.setTimer(delayMs, act);
    }
  }
}
