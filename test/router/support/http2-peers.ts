import {
  connect,
  createServer,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import {
  connect as connectSocket,
  createServer as createNetServer,
  type AddressInfo,
  type Server as NetServer,
  type Socket,
} from "node:net";

/** What a VM does with a request. */
export type RawHandler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** A VM that speaks HTTP/2 as a test wants it, below what a gRPC library would allow. */
export class RawVM {
  readonly #server: Http2Server;
  readonly #sessions = new Set<{ destroy(): void }>();
  /** Raw header lists of the requests that arrived. */
  readonly requests: string[][] = [];

  private constructor(handle: RawHandler) {
    this.#server = createServer({
      maxSendHeaderBlockLength: 1 << 20,
      settings: { maxConcurrentStreams: 1000, maxHeaderListSize: 1 << 21 },
    });
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.on("error", () => {});
    });
    this.#server.on("stream", (stream, headers, _flags, raw: string[]) => {
      this.requests.push(raw);
      stream.on("error", () => {});
      handle(stream, headers);
    });
  }

  static async start(handle: RawHandler): Promise<RawVM> {
    const vm = new RawVM(handle);
    await new Promise<void>((resolve) => {
      vm.#server.listen(0, "127.0.0.1", resolve);
    });
    return vm;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server.close();
    for (const session of this.#sessions) {
      session.destroy();
    }
  }
}

/** A wire to a VM that can be cut: the VM then says no more, not even goodbye, as after kill -9. */
export class Wire {
  readonly #server: NetServer;
  readonly #sockets = new Set<Socket>();

  private constructor(toPort: number) {
    this.#server = createNetServer((near) => {
      const far = connectSocket(toPort, "127.0.0.1");
      for (const socket of [near, far]) {
        this.#sockets.add(socket);
        socket.on("error", () => {});
      }
      near.pipe(far);
      far.pipe(near);
    });
  }

  static async start(toPort: number): Promise<Wire> {
    const wire = new Wire(toPort);
    await new Promise<void>((resolve) => {
      wire.#server.listen(0, "127.0.0.1", resolve);
    });
    return wire;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends all connections and takes no more. */
  cut(): void {
    this.#server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }
}

/** What came back for a request. */
export interface RawAnswer {
  readonly headers: string[];
  readonly body: Buffer;
  readonly trailers: string[];
  readonly rstCode: number;
}

/** A client that sees raw header lists. */
export class RawClient {
  readonly session: ClientHttp2Session;

  /** @param to a port on loopback, or a connected socket */
  constructor(to: number | Socket) {
    this.session = connect(`http://127.0.0.1:${typeof to === "number" ? to : 0}`, {
      settings: { maxHeaderListSize: 1 << 20 },
      maxSendHeaderBlockLength: 1 << 20,
      ...(typeof to === "number" ? {} : { createConnection: () => to }),
    });
    this.session.on("error", () => {});
  }

  /** Starts a request with these fields after the ones that every gRPC request has. */
  open(fields: readonly string[] = [], pseudo: readonly string[] = POST): ClientHttp2Stream {
    const stream = this.session.request([...pseudo, ...ADDRESS, ...fields], { endStream: false });
    stream.on("error", () => {});
    return stream;
  }

  close(): void {
    this.session.destroy();
  }
}

export const POST = [
  ":method",
  "POST",
  ":scheme",
  "http",
  ":path",
  "/test.Service/Call",
  ":authority",
  "vm",
] as const;
export const GRPC = ["content-type", "application/grpc", "te", "trailers"] as const;
const ADDRESS = ["satellite-name", "ada", "satellite-namespace", "team-a"] as const;

/** Collects the whole answer. */
export function answerOf(stream: ClientHttp2Stream): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const body: Buffer[] = [];
    let headers: string[] = [];
    let trailers: string[] = [];
    stream.on("response", (_headers, _flags, raw) => {
      headers = raw;
    });
    stream.on("trailers", (_headers, _flags, raw: string[]) => {
      trailers = raw;
    });
    stream.on("data", (chunk: Buffer) => body.push(chunk));
    stream.once("close", () =>
      resolve({ headers, trailers, body: Buffer.concat(body), rstCode: stream.rstCode }),
    );
  });
}

/** The value of a field in a raw list. */
export function field(raw: readonly string[], name: string): string | undefined {
  const index = raw.findIndex((candidate, i) => i % 2 === 0 && candidate === name);
  return index < 0 ? undefined : raw[index + 1];
}
