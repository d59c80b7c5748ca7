import { once } from "node:events";
import net from "node:net";
import { Duplex } from "node:stream";
import { expect } from "chai";
import { TcpWire, WireMemory, wireOf } from "../../../src/router/relay/tcp-wire.ts";
import { StreamWire, type Wire, type WireEvents } from "../../../src/router/relay/wire.ts";
import { eventually } from "../../support/eventually.ts";

/** Notes what a wire tells. */
class Listener implements WireEvents {
  readonly received: Buffer[] = [];
  readonly errors: Error[] = [];
  readonly closed: Promise<void>;
  readonly ended: Promise<void>;
  drains = 0;
  #onClosed: () => void = () => {};
  #onEnded: () => void = () => {};

  constructor() {
    this.closed = new Promise((resolve) => (this.#onClosed = resolve));
    this.ended = new Promise((resolve) => (this.#onEnded = resolve));
  }

  onBytes(buffer: Buffer, end: number): void {
    this.received.push(Buffer.from(buffer.subarray(0, end)));
  }
  onDrain(): void {
    this.drains += 1;
  }
  onEnd(): void {
    this.#onEnded();
  }
  onError(error: Error): void {
    this.errors.push(error);
  }
  onClose(): void {
    this.#onClosed();
  }
}

/** Passes what comes on `from` to `to`, and reads no faster than `to` takes it. */
function joinEvents(from: Wire, to: Wire): WireEvents {
  return {
    onBytes(buffer, end) {
      to.write(buffer, 0, end);
      if (to.unsentBytes > 0) {
        from.pause();
      }
    },
    onDrain: () => to.resume(),
    onEnd: () => to.end(),
    onError: () => {},
    onClose: () => to.destroy(),
  };
}

async function firstOf(listener: Listener): Promise<string> {
  await eventually("the wire tells it", () => listener.received.length > 0);
  return String(listener.received[0]);
}

describe("TcpWire", () => {
  const memory = new WireMemory();
  const accepted: net.Socket[] = [];
  let onAccepted: (socket: net.Socket) => void;
  let server: net.Server;
  let port: number;

  beforeEach(async () => {
    accepted.length = 0;
    onAccepted = (socket): void => void accepted.push(socket);
    server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => onAccepted(socket));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    ({ port } = server.address() as net.AddressInfo);
  });

  afterEach(() => server.close());

  /** A client, and the wire at its other end. */
  async function pair(listener: WireEvents = new Listener()): Promise<{ client: net.Socket; wire: TcpWire }> {
    const client = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    client.on("error", () => {});
    const wire = await new Promise<Wire>((resolve) => {
      onAccepted = (socket): void => {
        const made = wireOf(socket, memory);
        made.listen(listener);
        resolve(made);
      };
    });
    expect(wire).instanceOf(TcpWire);
    return { client, wire: wire as TcpWire };
  }

  it("is what an accepted TCP connection gets on this Node", async () => {
    const { client, wire } = await pair();
    client.destroy();
    wire.destroy();
  });

  it("is not what streams get that are no bare TCP connections, or were read from", async () => {
    const client = net.connect(port, "127.0.0.1");
    client.write("early");
    await eventually("the wire tells it", () => accepted.length === 1);
    const [socket] = accepted;
    await once(socket!, "readable");
    expect(wireOf(socket!, memory)).instanceOf(StreamWire);
    expect(wireOf(new Duplex() as net.Socket, memory)).instanceOf(StreamWire);
    client.destroy();
    socket!.destroy();
  });

  it("receives what was sent before and after it took over, and the end", async () => {
    const listener = new Listener();
    const { client, wire } = await pair(listener);
    client.write("one");
    await eventually("the wire tells it", () => Buffer.concat(listener.received).toString() === "one");
    client.end("two");
    await listener.ended;
    expect(Buffer.concat(listener.received).toString()).equal("onetwo");
    wire.write(Buffer.from("<answer>"), 1, 7);
    wire.end();
    expect(String((await client.toArray())[0])).equal("answer");
    await listener.closed;
    expect(listener.errors).deep.equal([]);
  });

  it("sends pieces in order, also those that the kernel does not take at once, and tells when all is sent", async () => {
    const listener = new Listener();
    const { client, wire } = await pair(listener);
    client.pause();
    const expected: Buffer[] = [];
    const scratch = Buffer.alloc(100_000);
    for (let turn = 0; turn < 200; turn += 1) {
      // The same memory for all: what was written belongs to us again.
      scratch.fill(turn);
      expected.push(Buffer.from(scratch));
      if (turn % 2 === 0) {
        wire.write(scratch, 0, scratch.length);
      } else {
        wire.writeAll([scratch.subarray(0, 10), scratch.subarray(10, 70_000), scratch.subarray(70_000)]);
      }
    }
    scratch.fill(255);
    expect(wire.unsentBytes).above(0);
    expect(listener.drains).equal(0);
    wire.end();
    const got = Buffer.concat((await client.toArray()) as Buffer[]);
    expect(got.equals(Buffer.concat(expected))).equal(true);
    expect(listener.drains).equal(1);
    expect(wire.unsentBytes).equal(0);
    client.destroy();
  });

  it("writes before it is connected, in order", async () => {
    const listener = new Listener();
    onAccepted = (socket): void => void socket.pipe(socket);
    const wire = TcpWire.connect({ host: "127.0.0.1", port, keepAliveMs: 1000 }, memory);
    wire.listen(listener);
    wire.writeAll([Buffer.from("a"), Buffer.from("b")]);
    wire.write(Buffer.from("c"), 0, 1);
    await eventually("the wire tells it", () => Buffer.concat(listener.received).toString() === "abc");
    wire.write(Buffer.from("d"), 0, 1);
    wire.end();
    await listener.ended;
    expect(Buffer.concat(listener.received).toString()).equal("abcd");
  });

  it("tells why it could not connect", async () => {
    server.close();
    await once(server, "close");
    const listener = new Listener();
    TcpWire.connect({ host: "127.0.0.1", port, keepAliveMs: 1000 }, memory).listen(listener);
    await listener.closed;
    expect(listener.errors.map((error) => (error as NodeJS.ErrnoException).code)).deep.equal([
      "ECONNREFUSED",
    ]);
  });

  it("delivers to each peer its own bytes only, although all are received into one buffer and some read slowly", async () => {
    const clients: { socket: net.Socket; got: Buffer[]; sent: number; mark: number }[] = [];
    for (let mark = 1; mark <= 24; mark += 1) {
      const socket = net.connect(port, "127.0.0.1");
      socket.on("error", () => {});
      const near = await new Promise<Wire>((resolve) => {
        onAccepted = (raw): void => resolve(wireOf(raw, memory));
      });
      onAccepted = (raw): void => void raw.pipe(raw);
      const far = TcpWire.connect({ host: "127.0.0.1", port, keepAliveMs: 1000 }, memory);
      near.listen(joinEvents(near, far));
      far.listen(joinEvents(far, near));
      clients.push({ socket, got: [], sent: 0, mark });
    }
    const bytesEach = 3_000_000;
    await Promise.all(
      clients.map(async (client) => {
        client.socket.on("data", (chunk: Buffer) => {
          client.got.push(chunk);
          if (client.mark % 3 === 0) {
            client.socket.pause();
            setImmediate(() => client.socket.resume());
          }
        });
        for (; client.sent < bytesEach; client.sent += 30_000) {
          if (!client.socket.write(Buffer.alloc(30_000, client.mark))) {
            await once(client.socket, "drain");
          }
        }
        await eventually(
          "the wire tells it",
          () => client.got.reduce((sum, part) => sum + part.length, 0) === bytesEach,
        );
      }),
    );
    for (const { got, mark, socket } of clients) {
      expect(Buffer.concat(got).every((byte) => byte === mark)).equal(true);
      socket.destroy();
    }
  });

  it("writes nothing to another connection that was given the descriptor of a destroyed one", async () => {
    const listener = new Listener();
    const first = { ...(await pair(listener)), closed: listener.closed };
    first.wire.destroy();
    await first.closed;
    // The kernel hands out the lowest free descriptor: one end of the next connections gets it.
    const listeners = [new Listener(), new Listener(), new Listener()];
    const others = [await pair(listeners[0]), await pair(listeners[1]), await pair(listeners[2])];
    const got: string[] = [];
    for (const { client } of others) {
      client.on("data", (chunk: Buffer) => got.push(chunk.toString()));
    }
    first.wire.write(Buffer.from("secret"), 0, 6);
    first.wire.writeAll([Buffer.from("secret")]);
    for (const { client, wire } of others) {
      wire.write(Buffer.from("own"), 0, 3);
      client.write("own");
    }
    got.push(...(await Promise.all(listeners.map(firstOf))));
    await eventually("the wire tells it", () => got.length === 2 * others.length);
    expect(got).deep.equal(Array.from({ length: 6 }, () => "own"));
    for (const { client, wire } of others) {
      client.destroy();
      wire.destroy();
    }
  });

  it("writes nothing from the turn on in which it is destroyed", async () => {
    const { client, wire } = await pair();
    const got: Buffer[] = [];
    client.on("data", (chunk: Buffer) => got.push(chunk));
    wire.destroy();
    wire.write(Buffer.from("late"), 0, 4);
    await once(client, "end");
    expect(got).deep.equal([]);
  });

  it("counts among the connections that its server waits for", async () => {
    const { client, wire } = await pair();
    let isClosed = false;
    const closed = new Promise<void>((resolve) => {
      server.close(() => {
        isClosed = true;
        resolve();
      });
    });
    const connections = await new Promise<number>((resolve, reject) => {
      server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
    });
    expect(connections).equal(1);
    expect(isClosed).equal(false);
    wire.destroy();
    await closed;
    client.destroy();
  });

  it("reads nothing while it is paused", async () => {
    const listener = new Listener();
    const { client, wire } = await pair(listener);
    wire.pause();
    client.write("later");
    // What came later on another connection was read: this one was passed over.
    const elsewhere = new Listener();
    const other = await pair(elsewhere);
    other.client.write("x");
    await eventually("the wire tells it", () => elsewhere.received.length > 0);
    expect(listener.received).deep.equal([]);
    wire.resume();
    await eventually("the wire tells it", () => Buffer.concat(listener.received).toString() === "later");
    for (const each of [{ client, wire }, other]) {
      each.client.destroy();
      each.wire.destroy();
    }
  });
});
