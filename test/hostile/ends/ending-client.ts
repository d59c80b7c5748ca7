import { once } from "node:events";
import net, { type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

import { pause } from "../attack.ts";
import { endConnection, type Ends } from "./ending-peer.ts";
import { below, ENDS, pick, type EndPlan, type Wait } from "./plan.ts";
import type { TlsRelay } from "./tls-relay.ts";

/** Where the router listens. */
export interface RouterPlace {
  readonly port: number;
  /** For a listener that serves TLS. */
  readonly tls: TlsRelay | undefined;
}

/** Longest wait for something that may never come. */
const PATIENCE_MS = 100;
const WHILE_MS = 15;
/** More than SETTINGS, acknowledgement and window: there is a header block in it. */
const ANSWER_BYTES = 60;

/** Makes one connection as planned, and ends it. */
export async function makeConnection(plan: EndPlan, place: RouterPlace): Promise<void> {
  const ends = await open(place);
  if (ends === undefined) {
    return;
  }
  const { stream } = ends;
  let receivedBytes = 0;
  if (!plan.isDeaf) {
    stream.on("data", (chunk: Buffer) => {
      receivedBytes += chunk.length;
    });
  }
  const whole = Buffer.concat(plan.conversation.pieces);
  let from = 0;
  for (const cut of [...plan.cuts, plan.offset]) {
    if (cut > from && stream.writable) {
      stream.write(whole.subarray(from, cut));
      from = cut;
      await turn();
    }
  }
  await waitFor(plan.wait, stream, () => receivedBytes);
  await endConnection(ends, plan.end);
}

/** Ends a connection within its TLS handshake: at any byte of the client's, or once the server has answered. */
export async function endHandshake(hello: Buffer, port: number, random: () => number): Promise<void> {
  const tcp = await dial(port);
  if (tcp === undefined) {
    return;
  }
  tcp.resume();
  tcp.write(hello.subarray(0, below(random, hello.length + 1)));
  if (random() < 0.5) {
    await Promise.race([new Promise((resolve) => void tcp.once("data", resolve)), pause(PATIENCE_MS)]);
  }
  await endConnection({ stream: tcp, tcp }, pick(random, ENDS));
}

/** The first flight of a TLS client. */
export async function clientHello(): Promise<Buffer> {
  const server = net.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const client = connectTls({ port, host: "127.0.0.1", ALPNProtocols: ["h2"] });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  const [hello] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return hello;
}

async function open({ port, tls }: RouterPlace): Promise<Ends | undefined> {
  const tcp = await dial(port);
  return tcp === undefined ? undefined : tls === undefined ? { stream: tcp, tcp } : tls.connect(tcp);
}

async function dial(port: number): Promise<Socket | undefined> {
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
  socket.on("error", () => {});
  return (await settledAs(socket, "connect")) ? socket : undefined;
}

/** Whether a socket tells `event` before it closes. */
function settledAs(socket: Socket, event: string): Promise<boolean> {
  return new Promise((resolve) => {
    socket.once(event, () => resolve(true));
    socket.once("close", () => resolve(false));
  });
}

async function waitFor(wait: Wait, stream: Socket, receivedBytes: () => number): Promise<void> {
  switch (wait) {
    case "nothing":
      return;
    case "a turn":
      return turn();
    case "the first bytes":
      return received(stream, () => receivedBytes() > 0);
    case "an answer":
      return received(stream, () => receivedBytes() >= ANSWER_BYTES);
    case "a while":
      return pause(WHILE_MS);
  }
}

/** Resolves when enough has come, or nothing more will, or patience ends. */
async function received(stream: Socket, isEnough: () => boolean): Promise<void> {
  if (isEnough()) {
    return;
  }
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, PATIENCE_MS);
    function done(): void {
      clearTimeout(timer);
      stream.off("data", onData);
      stream.off("close", done);
      stream.off("end", done);
      resolve();
    }
    function onData(): void {
      if (isEnough()) {
        done();
      }
    }
    stream.on("close", done);
    stream.on("end", done);
    // A deaf client hears nothing of it.
    if (stream.listenerCount("data") > 0) {
      stream.on("data", onData);
    }
  });
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
