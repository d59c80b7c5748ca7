import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:https";
import { type AddressInfo, connect } from "node:net";
import type { Duplex } from "node:stream";
import type { TestAuthority } from "./pki.ts";

/** RFC 6455 section 1.3. */
const WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const BINARY = 0x2;
const CLOSE = 0x8;
const FIN = 0x80;

/**
 * The part of a kubelet that port-forward needs: kube-apiserver passes WebSockets on to it. Each pod's port is a port of the
 * loopback of this machine.
 */
export class PortForwardKubelet {
  readonly #server: Server;
  readonly #sockets = new Set<Duplex>();
  /** Pods that connections were forwarded to, in order. */
  readonly forwarded: string[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param portOf where a pod's port is on the loopback */
  static async start(
    authority: TestAuthority,
    portOf: (pod: string, port: number) => number,
  ): Promise<PortForwardKubelet> {
    const kubelet = new PortForwardKubelet(createServer(await authority.issueServer()));
    kubelet.#server.on("upgrade", (request, socket: Duplex) => {
      kubelet.#sockets.add(socket);
      socket.on("error", () => {});
      const url = new URL(request.url ?? "", "https://kubelet");
      // /portForward/NAMESPACE/POD (kubelet, "server.go"); or as the API server has it, where a test leaves that out.
      const pod =
        /^\/portForward\/[^/]+\/(.*)$|\/pods\/(.*)\/portforward$/.exec(url.pathname)?.slice(1).join("") ?? "";
      const port = Number(url.searchParams.get("port") ?? url.searchParams.get("ports"));
      kubelet.forwarded.push(pod);
      const key = request.headers["sec-websocket-key"] ?? "";
      const accept = createHash("sha1").update(`${key}${WEBSOCKET_GUID}`).digest("base64");
      socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n" +
          `sec-websocket-accept: ${accept}\r\nsec-websocket-protocol: v4.channel.k8s.io\r\n\r\n`,
      );
      forward(socket, portOf(pod, port), port);
    });
    kubelet.#server.listen(0, "127.0.0.1");
    await once(kubelet.#server, "listening");
    return kubelet;
  }

  /** Its URL, where a test uses it in place of an API server. */
  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends every connection, as a kubelet that is restarted does. */
  hangUp(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  stop(): void {
    this.hangUp();
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function forward(socket: Duplex, port: number, named: number): void {
  const target = connect({ host: "127.0.0.1", port });
  const portBytes = Buffer.alloc(2);
  portBytes.writeUInt16LE(named);
  for (const channel of [0, 1]) {
    socket.write(frame(Buffer.concat([Buffer.of(channel), portBytes])));
  }
  target.on("data", (chunk: Buffer) => socket.write(frame(Buffer.concat([Buffer.of(0), chunk]))));
  target.on("error", (error) =>
    socket.write(frame(Buffer.concat([Buffer.of(1), Buffer.from(error.message)]))),
  );
  target.on("close", () => socket.end(frame(Buffer.alloc(0), CLOSE)));
  socket.on("close", () => target.destroy());
  let pending = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    for (;;) {
      const read = readFrame(pending);
      if (read === undefined) {
        return;
      }
      pending = pending.subarray(read.end);
      if (read.opcode === CLOSE) {
        target.end();
      } else if (read.payload.length > 0) {
        target.write(read.payload.subarray(1));
      }
    }
  });
}

/** One unmasked frame. */
function frame(payload: Buffer, opcode: number = BINARY): Buffer {
  const { length } = payload;
  if (length < 126) {
    return Buffer.concat([Buffer.of(FIN | opcode, length), payload]);
  }
  const header = Buffer.alloc(length < 65_536 ? 4 : 10);
  header[0] = FIN | opcode;
  header[1] = length < 65_536 ? 126 : 127;
  if (length < 65_536) {
    header.writeUInt16BE(length, 2);
  } else {
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([header, payload]);
}

/** A client's frame, unmasked; `undefined` until it has come whole. */
function readFrame(bytes: Buffer): { opcode: number; payload: Buffer; end: number } | undefined {
  if (bytes.length < 2) {
    return undefined;
  }
  const short = (bytes[1] ?? 0) & 0x7f;
  const at = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < at + 4) {
    return undefined;
  }
  const length =
    short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const end = at + 4 + length;
  if (bytes.length < end) {
    return undefined;
  }
  const mask = bytes.subarray(at, at + 4);
  const payload = Buffer.from(bytes.subarray(at + 4, end));
  for (let index = 0; index < length; index += 1) {
    payload[index] = (payload[index] ?? 0) ^ (mask[index % 4] ?? 0);
  }
  return { opcode: (bytes[0] ?? 0) & 0x0f, payload, end };
}
