import * as grpc from "@grpc/grpc-js";

const identity = (bytes: Buffer): Buffer => bytes;

function method(
  name: string,
  requestStream: boolean,
  responseStream: boolean,
): grpc.MethodDefinition<Buffer, Buffer> {
  return {
    path: `/test.Service/${name}`,
    requestStream,
    responseStream,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  };
}

/** A service of every gRPC shape, on plain bytes. */
const SERVICE = {
  unary: method("Unary", false, false),
  clientStream: method("ClientStream", true, false),
  serverStream: method("ServerStream", false, true),
  bidi: method("Bidi", true, true),
};

type Handlers = Partial<{
  unary: grpc.handleUnaryCall<Buffer, Buffer>;
  clientStream: grpc.handleClientStreamingCall<Buffer, Buffer>;
  serverStream: grpc.handleServerStreamingCall<Buffer, Buffer>;
  bidi: grpc.handleBidiStreamingCall<Buffer, Buffer>;
}>;

const UNLIMITED = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

/** What runs in a VM: a real gRPC server, on port 0. */
export class TestVM {
  readonly #server: grpc.Server;
  readonly port: number;
  /** Calls that reached it. */
  calls = 0;

  private constructor(server: grpc.Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  /** @param port 0 for any */
  static start(handlers: Handlers = {}, port = 0): Promise<TestVM> {
    const server = new grpc.Server(UNLIMITED);
    return new Promise((resolve, reject) => {
      let vm: TestVM | undefined;
      const count = (): void => {
        if (vm !== undefined) {
          vm.calls++;
        }
      };
      server.addService(SERVICE, counted({ ...ECHO, ...handlers }, count));
      server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) => {
        if (error !== null) {
          reject(error);
          return;
        }
        vm = new TestVM(server, bound);
        resolve(vm);
      });
    });
  }

  /** Ends it at once, with whatever is open. */
  stop(): void {
    this.#server.forceShutdown();
  }
}

const ECHO: Required<Handlers> = {
  unary: (call, callback) => callback(null, call.request),
  clientStream: (call, callback) => {
    const chunks: Buffer[] = [];
    call.on("data", (chunk: Buffer) => chunks.push(chunk));
    call.on("end", () => callback(null, Buffer.concat(chunks)));
  },
  serverStream: (call) => {
    for (let i = 0; i < 10; i++) {
      call.write(Buffer.from(`${call.request.toString()}-${i}`));
    }
    call.end();
  },
  bidi: (call) => {
    call.on("data", (chunk: Buffer) => call.write(chunk));
    call.on("end", () => call.end());
    call.on("error", () => {});
  },
};

function counted(handlers: Required<Handlers>, count: () => void): grpc.UntypedServiceImplementation {
  return Object.fromEntries(
    Object.entries(handlers).map(([name, handler]) => [
      name,
      (...args: unknown[]) => {
        count();
        (handler as (...all: unknown[]) => void)(...args);
      },
    ]),
  );
}

/** Result of a call: what a gRPC client learns of it. */
export interface CallResult {
  readonly code: grpc.status;
  readonly details: string;
  readonly messages: Buffer[];
  readonly headers: grpc.Metadata | undefined;
  readonly trailers: grpc.Metadata;
}

export interface CallOptions {
  readonly messages?: readonly Buffer[];
  readonly metadata?: grpc.Metadata;
  readonly deadlineMs?: number;
  readonly path?: string;
}

/** A call under way. */
export interface RunningCall {
  readonly result: Promise<CallResult>;
  readonly stream: grpc.ClientDuplexStream<Buffer, Buffer>;
}

/** A real gRPC client. Every shape is a stream to it; the server sees the shape by the path. */
export class TestClient {
  readonly #client: grpc.Client;

  constructor(port: number, options: grpc.ClientOptions = {}) {
    this.#client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
      ...UNLIMITED,
      // One connection per client, so that a test decides who shares one.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      ...options,
    });
  }

  /** Starts a call and leaves its request open. */
  open({ metadata = addressed(), deadlineMs, path = SERVICE.bidi.path }: CallOptions = {}): RunningCall {
    const options = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
    const stream = this.#client.makeBidiStreamRequest<Buffer, Buffer>(
      path,
      identity,
      identity,
      metadata,
      options,
    );
    const messages: Buffer[] = [];
    let headers: grpc.Metadata | undefined;
    stream.on("data", (message: Buffer) => messages.push(message));
    stream.on("metadata", (metadataSeen: grpc.Metadata) => {
      headers = metadataSeen;
    });
    stream.on("error", () => {});
    const result = new Promise<CallResult>((resolve) => {
      stream.on("status", ({ code, details, metadata: trailers }: grpc.StatusObject) =>
        resolve({ code, details, messages, headers, trailers }),
      );
    });
    return { stream, result };
  }

  /** Makes a whole call. */
  call(shape: keyof typeof SERVICE, options: CallOptions = {}): Promise<CallResult> {
    const { stream, result } = this.open({ path: SERVICE[shape].path, ...options });
    for (const message of options.messages ?? [Buffer.from("hello")]) {
      stream.write(message);
    }
    stream.end();
    return result;
  }

  close(): void {
    this.#client.close();
  }
}

/** Metadata that names the satellite of the tests, and more. */
export function addressed(more: Readonly<Record<string, string | Buffer>> = {}): grpc.Metadata {
  const metadata = new grpc.Metadata();
  metadata.set("satellite-name", "ada");
  metadata.set("satellite-namespace", "team-a");
  for (const [name, value] of Object.entries(more)) {
    metadata.set(name, value);
  }
  return metadata;
}
