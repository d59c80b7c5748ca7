import { Duplex } from "node:stream";
import type { WebSocket } from "undici";
import type { ObjectKey } from "./objects.ts";
import { objectPath, withQuery } from "./paths.ts";
import { KubeError } from "./errors.ts";
import { POD } from "./resources.ts";
import type { Transport } from "./transport.ts";

/**
 * Channel 0 has the port's bytes, channel 1 its errors; each message begins with one byte, the number of its channel.
 */
const PROTOCOL = "v4.channel.k8s.io";
const DATA = 0;
const ERROR = 1;
/** The first message of each channel holds its port, in two bytes, little-endian, and nothing else. */
const PORT_BYTES = 2;
/** Most bytes of one message; kubectl copies in pieces of that size. */
const MESSAGE_BYTES = 32 * 1024;
/** While more bytes than this wait to be sent, no more are taken. */
const HIGH_WATER_BYTES = 1024 * 1024;
const DRAIN_POLL_MS = 5;

/**
 * Connects to a port of a pod through the API server, as `kubectl port-forward` does.
 *
 * @throws KubeError `PortForwardFailed` when the API server refuses, or when `signal` aborts
 */
export async function forwardPort(
  transport: Transport,
  pod: ObjectKey,
  port: number,
  signal: AbortSignal,
): Promise<Duplex> {
  const path = withQuery(`${objectPath(POD, pod)}/portforward`, { ports: port });
  const socket = await transport.webSocket(path, PROTOCOL);
  socket.binaryType = "arraybuffer";
  const name = `${pod.namespace ?? ""}/${pod.name}`;
  await opened(socket, name, pod.namespace ?? "", signal);
  return new ForwardedPort(socket, name);
}

async function opened(socket: WebSocket, pod: string, namespace: string, signal: AbortSignal): Promise<void> {
  const settled = new AbortController();
  const once = { once: true, signal: settled.signal };
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string): void => {
        socket.close();
        reject(
          new KubeError({
            reason: "PortForwardFailed",
            status: 0,
            message:
              `no port-forward to pod ${pod}: ${why}. It takes the verb create on pods/portforward in that namespace ` +
              `(kubectl auth can-i create pods/portforward -n ${namespace})`,
          }),
        );
      };
      socket.addEventListener("open", () => resolve(), once);
      socket.addEventListener("error", ({ message }) => fail(message || "the API server refused"), once);
      socket.addEventListener("close", () => fail("the API server closed the connection"), once);
      signal.addEventListener("abort", () => fail("it took too long"), once);
    });
  } finally {
    // The signal is for the opening alone.
    settled.abort();
  }
}

/** The port as a stream of bytes. Errors of the pod's side end it. */
class ForwardedPort extends Duplex {
  readonly #socket: WebSocket;
  readonly #begun = new Set<number>();

  constructor(socket: WebSocket, pod: string) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const bytes = Buffer.from(data as ArrayBuffer);
      const channel = bytes[0] ?? ERROR;
      if (!this.#begun.has(channel) && bytes.length === 1 + PORT_BYTES) {
        this.#begun.add(channel);
      } else if (channel === DATA) {
        // A WebSocket cannot be told to wait; what collects here is bounded by the windows of HTTP/2.
        this.push(bytes.subarray(1));
      } else if (channel === ERROR && bytes.length > 1) {
        this.destroy(new Error(`pod ${pod}: ${bytes.subarray(1).toString().trim()}`));
      }
    });
    socket.addEventListener("close", () => this.push(null));
    socket.addEventListener("error", ({ message }) => this.destroy(new Error(`pod ${pod}: ${message}`)));
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error) => void): void {
    for (let at = 0; at < chunk.length; at += MESSAGE_BYTES) {
      this.#socket.send(Buffer.concat([Buffer.of(DATA), chunk.subarray(at, at + MESSAGE_BYTES)]));
    }
    this.#whenDrained(done);
  }

  override _final(done: (error?: Error) => void): void {
    this.#socket.close();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.close();
    done(error);
  }

  #whenDrained(done: () => void): void {
    if (this.#socket.bufferedAmount <= HIGH_WATER_BYTES || this.destroyed) {
      done();
      return;
    }
    setTimeout(() => this.#whenDrained(done), DRAIN_POLL_MS);
  }
}
