import { once } from "node:events";
import {
  constants,
  createServer,
  type Http2Server,
  type Http2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";

import type { Vm } from "./vm.ts";

/** Cases of grpc-go's negative HTTP/2 client, each of which wants a server that misbehaves in one way. */
export const NEGATIVE_CASES = [
  "goaway",
  "rst_after_header",
  "rst_during_data",
  "rst_after_data",
  "ping",
  "max_streams",
] as const;

/** One of {@link NEGATIVE_CASES}. */
export type NegativeCase = (typeof NEGATIVE_CASES)[number];

const RESPONSE_BYTES = 314_159;
const HEADERS = { ":status": 200, "content-type": "application/grpc" };
const PIECES = 4;

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

/** A SimpleResponse (grpc/testing/messages.proto) whose payload is zeros, with the prefix of a gRPC message. */
function largeResponse(): Buffer {
  const payload = [0x12, ...varint(RESPONSE_BYTES)];
  const head = Buffer.from([0x0a, ...varint(payload.length + RESPONSE_BYTES), ...payload]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(head.length + RESPONSE_BYTES, 1);
  return Buffer.concat([prefix, head, Buffer.alloc(RESPONSE_BYTES)]);
}

/** A VM on node:http2 that answers UnaryCall with what the negative client expects of its server. */
export class NegativeVm implements Vm {
  readonly host = "127.0.0.1";
  port = 0;
  case: NegativeCase = "goaway";
  /** Connections on which a call came. */
  readonly #used = new Set<Http2Session>();
  readonly #sessions = new Set<Http2Session>();
  #open = 0;
  #mostOpen = 0;
  #pings = 0;
  #acks = 0;
  #server: Http2Server | undefined;

  get isRunning(): boolean {
    return this.#server !== undefined;
  }

  async start(): Promise<void> {
    const settings = this.case === "max_streams" ? { maxConcurrentStreams: 1 } : {};
    const server = createServer({ settings });
    server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("error", () => {});
      session.once("close", () => this.#sessions.delete(session));
    });
    server.on("stream", (stream) => {
      stream.on("error", () => {});
      void this.#serve(stream).catch(() => {});
    });
    server.listen(this.port, this.host);
    await once(server, "listening");
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) {
      const closed = once(server, "close");
      server.close();
      for (const session of this.#sessions) {
        session.destroy();
      }
      await closed;
    }
  }

  /**
   * Judges what the VM saw of a case, and begins anew.
   *
   * @throws Error when its client, the router, did not behave
   */
  judge(): void {
    const [used, most, pings, acks] = [this.#used.size, this.#mostOpen, this.#pings, this.#acks];
    this.#used.clear();
    [this.#mostOpen, this.#pings, this.#acks] = [0, 0, 0];
    if (used === 0) {
      throw new Error("no call came to the VM");
    }
    if (this.case === "goaway" && used < 2) {
      throw new Error("a call came on a connection after its GOAWAY");
    }
    if (this.case === "max_streams" && most > 1) {
      throw new Error(`${most} calls at a time came to a VM that takes one`);
    }
    if (this.case === "ping" && (pings === 0 || acks !== pings)) {
      throw new Error(`${acks} of the VM's ${pings} pings were answered`);
    }
  }

  async #serve(stream: ServerHttp2Stream): Promise<void> {
    const { session } = stream;
    if (session !== undefined) {
      this.#used.add(session);
    }
    this.#open += 1;
    this.#mostOpen = Math.max(this.#mostOpen, this.#open);
    stream.once("close", () => {
      this.#open -= 1;
    });
    if (this.case === "rst_after_header") {
      stream.respond(HEADERS);
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
      return;
    }
    stream.resume();
    await once(stream, "end");
    const message = largeResponse();
    if (this.case === "rst_during_data") {
      stream.respond(HEADERS);
      // An error that the client knows as Unknown, which is what it wants here.
      stream.write(message.subarray(0, message.length / 2), () =>
        stream.close(constants.NGHTTP2_STREAM_CLOSED),
      );
      return;
    }
    if (this.case === "rst_after_data") {
      stream.respond(HEADERS);
      stream.write(message, () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
      return;
    }
    await this.#ping(session);
    stream.respond(HEADERS, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    for (let piece = 0; piece < PIECES; piece += 1) {
      const size = Math.ceil(message.length / PIECES);
      stream.write(message.subarray(piece * size, (piece + 1) * size));
      await this.#ping(session);
    }
    stream.end();
    if (this.case === "goaway") {
      session?.goaway(constants.NGHTTP2_NO_ERROR, stream.id);
    }
  }

  async #ping(session: Http2Session | undefined): Promise<void> {
    if (this.case !== "ping" || session === undefined) {
      return;
    }
    this.#pings += 1;
    await new Promise<void>((resolve) => {
      session.ping((error) => {
        this.#acks += error === null ? 1 : 0;
        resolve();
      });
    });
  }
}
