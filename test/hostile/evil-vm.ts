import { once } from "node:events";
import net from "node:net";

import { settingsAckFrame, settingsFrame, rstStreamFrame } from "../../src/http2/frame-writer.ts";
import { CLIENT_PREFACE, ErrorCode, Flag, FrameType } from "../../src/http2/protocol.ts";
import {
  block,
  data,
  frame,
  headers,
  Peer,
  trailersOnly,
  u32,
  type Frame,
} from "../router/relay/support/peer.ts";
import { scaled, type Attack, type Outcome, type Target } from "./attack.ts";
import { portOf } from "./child.ts";
import { RawConnection } from "./raw-connection.ts";
import { request } from "../router/relay/support/peer.ts";

/** What the VM sends for one request. */
type Malice = (streamId: number) => Buffer;

const repeat = (count: number, unit: Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => unit));
const RESPONSE = { ":status": "200", "content-type": "application/grpc" };

const MALICE: Readonly<Record<string, Malice>> = {
  "resets every request": (id) => rstStreamFrame(id, ErrorCode.PROTOCOL_ERROR),
  "makes the router reset (CVE-2025-8671)": (id) =>
    Buffer.concat([
      trailersOnly(id),
      data(id, "behind the end"),
      frame(FrameType.WINDOW_UPDATE, 0, id, u32(0)),
    ]),
  "floods with SETTINGS": () => repeat(2000, settingsFrame([[4, 65_535]])),
  "floods with PING": () => repeat(20_000, frame(FrameType.PING, 0, 0, Buffer.alloc(8))),
  "floods with empty DATA": (id) => Buffer.concat([headers(id, RESPONSE), repeat(20_000, data(id, ""))]),
  "never ends a header block": (id) =>
    Buffer.concat([
      frame(FrameType.HEADERS, 0, id, block(RESPONSE)),
      repeat(200, frame(FrameType.CONTINUATION, 0, id, block({ "x-filler": "x".repeat(4000) }))),
    ]),
  pushes: (id) =>
    frame(FrameType.PUSH_PROMISE, Flag.END_HEADERS, id, Buffer.concat([u32(2), block(RESPONSE)])),
  "answers what nobody asked": () => trailersOnly(99_999),
  "answers with noise": () => Buffer.alloc(4096, 0xa5),
  "sends more than the windows allow": (id) =>
    Buffer.concat([headers(id, RESPONSE), repeat(20, data(id, "x".repeat(16_000)))]),
  "says goodbye and goes on": (id) =>
    Buffer.concat([frame(FrameType.GOAWAY, 0, 0, u32(0, 0)), trailersOnly(id)]),
  "breaks HPACK": (id) =>
    frame(FrameType.HEADERS, Flag.END_HEADERS, id, Buffer.from([0xff, 0xff, 0xff, 0xff])),
};

/** A VM that was taken over: it answers requests with whatever its {@link malice} says. */
export class EvilVm {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  malice: Malice = trailersOnly;
  /** Requests that reached it. */
  requests = 0;

  private constructor() {
    this.#server = net.createServer((socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      this.#serve(socket);
    });
  }

  static async start(): Promise<EvilVm> {
    const vm = new EvilVm();
    vm.#server.listen(0, "127.0.0.1");
    await once(vm.#server, "listening");
    return vm;
  }

  get port(): number {
    return portOf(this.#server.address());
  }

  async stop(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await once(this.#server, "close");
  }

  #serve(socket: net.Socket): void {
    const peer = new Peer(socket, { skipBytes: CLIENT_PREFACE.length });
    peer.closed.catch(() => {});
    peer.send(settingsFrame([]), settingsAckFrame());
    const next = async (): Promise<void> => {
      for (;;) {
        const asked: Frame = await peer.take(({ type }) => type === FrameType.HEADERS);
        this.requests += 1;
        if (!socket.destroyed) {
          peer.send(this.malice(asked.id));
        }
      }
    };
    next().catch(() => {
      // The connection ended, which is what the router should do.
    });
  }
}

const REQUESTS_PER_CONNECTION = 20;
/** How long the router may take to try the VM again. */
const REACH_MS = 2000;
/** How long what comes of the malice may take to the client, where anything comes. */
const ANSWER_MS = 50;

async function run(malice: Malice, target: Target): Promise<Outcome> {
  const { evilVm, router } = target;
  evilVm.malice = malice;
  const before = evilVm.requests;
  const connections = scaled(target, 50);
  let stuck = 0;
  for (let count = 0; count < connections && router.isAlive; count += 1) {
    const connection = await RawConnection.http2(router.port);
    const reached = evilVm.requests;
    for (let place = 0; place < REQUESTS_PER_CONNECTION; place += 1) {
      const id = 2 * place + 1;
      await connection.write(request(id, { "satellite-name": "eve", "satellite-namespace": "team-a" }, true));
    }
    // The first request waits for the router's probe after the connection before failed; then the malice takes its way.
    await connection.until(() => evilVm.requests > reached, REACH_MS);
    const answered = connection.receivedBytes;
    await connection.until(() => connection.receivedBytes > answered, ANSWER_MS);
    // Whatever came of the requests: once the client goes, everything of it must go.
    stuck += (await connection.finish(20_000)) ? 0 : 1;
  }
  evilVm.malice = trailersOnly;
  const reached = evilVm.requests - before;
  return {
    inputs: connections * REQUESTS_PER_CONNECTION,
    figure: `${reached} of ${connections * REQUESTS_PER_CONNECTION} requests reached the VM`,
    problems: [
      ...(stuck > 0 ? [`${stuck} connections stay open behind a client that has gone`] : []),
      ...(reached < connections ? ["the VM was hardly ever asked, so that its answers were not tried"] : []),
    ],
  };
}

/** Attacks by a VM, with the clients that call it. */
export const EVIL_VMS: readonly Attack[] = Object.entries(MALICE).map(([name, malice]) => ({
  name: `a VM that ${name}`,
  run: (target) => run(malice, target),
}));
