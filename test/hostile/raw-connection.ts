import { once } from "node:events";
import net from "node:net";

import { settingsFrame, type SettingEntry } from "../../src/http2/frame-writer.ts";
import { CLIENT_PREFACE, Flag, FrameType } from "../../src/http2/protocol.ts";
import { frame } from "../router/relay/support/peer.ts";
import { pause } from "./attack.ts";

const MARK = Buffer.from("hostile!");
const MARK_ACK = frame(FrameType.PING, Flag.ACK, 0, MARK);

/** A client that sends any bytes and looks for little in what comes back. */
export class RawConnection {
  readonly socket: net.Socket;
  receivedBytes = 0;
  #ended = false;
  #tail = Buffer.alloc(0);
  #acked = false;
  #wake: (() => void)[] = [];

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on("error", () => this.#end());
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
    socket.on("drain", () => this.#notify());
    socket.on("data", (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      const seen = Buffer.concat([this.#tail, chunk]);
      this.#acked ||= seen.includes(MARK_ACK);
      this.#tail = Buffer.from(seen.subarray(-MARK_ACK.length));
      this.#notify();
    });
  }

  static async open(port: number): Promise<RawConnection> {
    const socket = net.connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    await once(socket, "connect");
    return new RawConnection(socket);
  }

  /** A connection that has begun as HTTP/2. */
  static async http2(port: number, settings: readonly SettingEntry[] = []): Promise<RawConnection> {
    const connection = await RawConnection.open(port);
    connection.socket.write(Buffer.concat([CLIENT_PREFACE, settingsFrame(settings)]));
    return connection;
  }

  /** Whether the router ended it. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Writes, and waits until the bytes have left this process or the connection has ended. */
  async write(bytes: Buffer): Promise<void> {
    if (this.#ended) {
      return;
    }
    if (this.socket.write(bytes)) {
      // Lets this process hear what the router answers.
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      return;
    }
    await this.until(() => this.socket.writableLength === 0, 10_000);
  }

  /** Resolves with whether the router has dealt with everything that was sent, or has ended the connection. */
  async settled(deadlineMs = 10_000): Promise<boolean> {
    await this.write(frame(FrameType.PING, 0, 0, MARK));
    return this.until(() => this.#acked, deadlineMs);
  }

  /** Ends the client's side, and resolves with whether the router ended its own by then. */
  async finish(deadlineMs = 10_000): Promise<boolean> {
    this.socket.end();
    const ended = await this.until(() => false, deadlineMs);
    this.socket.destroy();
    return ended;
  }

  /** @returns whether it came true, or the connection ended, within the deadline */
  async until(isTrue: () => boolean, deadlineMs: number): Promise<boolean> {
    const deadline = performance.now() + deadlineMs;
    while (!this.#ended && !isTrue()) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        return false;
      }
      const changed = new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
      await Promise.race([changed, pause(Math.min(leftMs, 50))]);
    }
    return true;
  }

  close(): void {
    this.socket.destroy();
  }

  #end(): void {
    this.#ended = true;
    this.#notify();
  }

  #notify(): void {
    for (const resolve of this.#wake.splice(0)) {
      resolve();
    }
  }
}
