import { once } from "node:events";
import net, { type Socket } from "node:net";

import { settingsAckFrame, settingsFrame } from "../../../src/http2/frame-writer.ts";
import { CLIENT_PREFACE, FrameType } from "../../../src/http2/protocol.ts";
import { data, headers, Peer } from "../../router/relay/support/peer.ts";
import { pause } from "../attack.ts";
import { portOf } from "../child.ts";
import { endConnection, type Ends } from "./ending-peer.ts";
import { below, ENDS, pick } from "./plan.ts";
import type { TlsRelay } from "./tls-relay.ts";

/** Share of the connections that it leaves alone, so that requests get through to end later. */
const SPARED = 0.3;
/** Share of the others that end before the VM has said that it speaks HTTP/2: the router then waits until it does. */
const EARLY = 0.1;
/** SETTINGS and the acknowledgement of the router's. */
const START_BYTES = 18;
/** What it says after that in a short conversation has about so many bytes. */
const SOME_BYTES = 100;
const MAX_DELAY_MS = 5;
const RESPONSE = { ":status": "200", "content-type": "application/grpc" };

/** A VM that ends its connections at any moment, in any way: after any of its own bytes, or on any of the router's. */
export class EndingVm {
  readonly #server: net.Server;
  readonly #sockets = new Set<Socket>();
  readonly #random: () => number;
  /** Whether it has begun to behave. */
  isTame = false;
  /** Connections that it has ended. */
  ended = 0;

  private constructor(random: () => number, relay: TlsRelay | undefined) {
    this.#random = random;
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (tcp) => {
      this.#keep(tcp);
      if (relay === undefined) {
        this.#serve({ stream: tcp, tcp });
      } else {
        this.#handshake(tcp, relay);
      }
    });
  }

  /** @param relay serves TLS; plain text when absent */
  static async start(random: () => number, relay?: TlsRelay): Promise<EndingVm> {
    const vm = new EndingVm(random, relay);
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

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => this.#sockets.delete(socket));
  }

  #handshake(tcp: Socket, relay: TlsRelay): void {
    if (!this.isTame && this.#random() < 0.1) {
      void this.#end({ stream: tcp, tcp });
    } else {
      relay.accept(tcp, (ends) => this.#serve(ends));
    }
  }

  #serve(ends: Ends): void {
    const { stream } = ends;
    const isSpared = this.isTame || this.#random() < SPARED;
    const byOwnBytes = this.#random() < 0.6;
    const isEarly = this.#random() < EARLY;
    let left =
      isSpared || !byOwnBytes
        ? Infinity
        : isEarly
          ? below(this.#random, START_BYTES)
          : START_BYTES + below(this.#random, SOME_BYTES);
    let reads = isSpared || byOwnBytes ? Infinity : isEarly ? 0 : 1 + below(this.#random, 3);
    let isEnding = false;
    const end = (): void => {
      if (!isEnding) {
        isEnding = true;
        void this.#end(ends);
      }
    };
    const say = (bytes: Buffer): void => {
      const part = bytes.subarray(0, Math.min(bytes.length, left));
      left -= part.length;
      if (!isEnding && stream.writable) {
        stream.write(part);
      }
      if (left === 0) {
        end();
      }
    };
    stream.on("data", () => {
      reads -= 1;
      if (reads < 0) {
        end();
      }
    });
    // The router has ended its side: nothing more can be asked, and what a VM would still say nobody waits for.
    stream.once("end", () => stream.end());
    say(settingsFrame([]));
    say(settingsAckFrame());
    this.#answer(new Peer(stream, { skipBytes: CLIENT_PREFACE.length }), say);
  }

  /** Echoes in its own time: each piece of an answer may be the last. */
  #answer(peer: Peer, say: (bytes: Buffer) => void): void {
    peer.closed.catch(() => {});
    const next = async (): Promise<void> => {
      for (;;) {
        const { id, type } = await peer.take(
          (frame) => frame.type === FrameType.HEADERS || frame.type === FrameType.DATA,
        );
        if (type === FrameType.HEADERS) {
          say(headers(id, RESPONSE));
          say(data(id, "an answer"));
          if (this.#random() < 0.7) {
            say(headers(id, { "grpc-status": "0" }, true));
          }
        }
      }
    };
    next().catch(() => {
      // The connection has ended.
    });
  }

  async #end(ends: Ends): Promise<void> {
    this.ended += 1;
    if (this.#random() < 0.5) {
      await pause(this.#random() * MAX_DELAY_MS);
    }
    await endConnection(ends, pick(this.#random, ENDS));
  }
}
