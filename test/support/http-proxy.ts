import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

/** An HTTP proxy that tunnels (RFC 9110, section 9.3.6), answers plain requests itself, and records both. */
export class HttpProxy {
  /** "host:port" of each tunnel that was asked for. */
  readonly tunnels: string[] = [];
  /** URL of each plain request. */
  readonly requests: string[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #isOpen: boolean;

  /** @param isOpen whether tunnels are made; else each is refused with 502 */
  constructor(isOpen = true) {
    this.#isOpen = isOpen;
    this.#server = createServer((request, response) => {
      this.requests.push(request.url ?? "");
      response.end("<Response/>");
    });
  }

  /** Begins to listen, and returns the proxy's URL. */
  async start(): Promise<string> {
    this.#server.on("connection", (socket: Socket) => this.#sockets.add(socket));
    this.#server.on("connect", (request, socket: Socket) => {
      this.tunnels.push(request.url ?? "");
      if (!this.#isOpen) {
        socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
        return;
      }
      const { hostname, port } = new URL(`http://${request.url ?? ""}`);
      const upstream = connect(Number(port), hostname, () => {
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        upstream.pipe(socket).pipe(upstream);
      });
      this.#sockets.add(upstream);
    });
    await new Promise<void>((resolve) => {
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Ends all connections. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
