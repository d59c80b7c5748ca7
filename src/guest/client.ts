import {
  type ChannelCredentials,
  type Client,
  credentials,
  makeGenericClientConstructor,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";

import { SatelliteError } from "../base/errors.ts";
import {
  type GuestDescription,
  type GuestSchema,
  loadGuestSchema,
  type RunExit,
  type RunResponse,
} from "./schema.ts";

/** A command to run in the guest. */
export interface RunOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: Uint8Array;
  /** Relative paths start at the guest's work directory. */
  readonly workingDirectory?: string;
  /** Milliseconds until the guest ends the command; absent means never. */
  readonly timeoutMs?: number;
  /** Cancels the call, which ends the command. */
  readonly signal?: AbortSignal;
  readonly onStdout?: (chunk: Buffer) => void;
  readonly onStderr?: (chunk: Buffer) => void;
}

/** A command's result; outputs that went to a callback are not collected and are empty here. */
export interface RunResult extends RunExit {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** A connection to one guest, directly or through the router. */
export interface GuestClient {
  /** Runs a command to its end. Rejects with grpc-js's ServiceError. */
  run(command: string, options?: RunOptions): Promise<RunResult>;
  /** @param deadlineMs milliseconds that the call may take; absent means no limit */
  describe(deadlineMs?: number): Promise<GuestDescription>;
  close(): void;
}

/** How {@link connectGuest} connects. */
export interface ConnectOptions {
  /** Sent with every call: the satellite's name for the router, the caller's token. */
  readonly metadata?: Metadata;
  readonly schema?: GuestSchema;
  /** Transport security; plaintext by default. */
  readonly credentials?: ChannelCredentials;
  /** Name that the server's certificate must have; default: that of the address. */
  readonly serverName?: string | undefined;
}

interface ExecutionStub extends Client {
  Run(request: object, metadata: Metadata): AsyncIterable<RunResponse> & { cancel(): void };
}

interface AgentStub extends Client {
  Describe(
    request: object,
    metadata: Metadata,
    options: { deadline?: number },
    callback: (error: ServiceError | null, response?: GuestDescription) => void,
  ): void;
}

/**
 * Connects to the guest service when the first call is made.
 *
 * @param address "host:port" of the guest or of a router
 */
export function connectGuest(address: string, options: ConnectOptions = {}): GuestClient {
  const schema = options.schema ?? loadGuestSchema();
  const channelCredentials = options.credentials ?? credentials.createInsecure();
  const metadata = (options.metadata ?? new Metadata()).clone();
  const Execution = makeGenericClientConstructor(schema.execution, "Execution");
  const Agent = makeGenericClientConstructor(schema.agent, "Agent");
  // grpc-js shares connections between the clients of a process; the router binds one to a satellite.
  const execution = new Execution(address, channelCredentials, {
    "grpc.use_local_subchannel_pool": 1,
    // Otherwise grpc-js takes a proxy from the environment, even for VMs and routers in the same network.
    "grpc.enable_http_proxy": 0,
    ...(options.serverName === undefined ? {} : { "grpc.ssl_target_name_override": options.serverName }),
  }) as unknown as ExecutionStub;
  const agent = new Agent(address, channelCredentials, {
    channelOverride: execution.getChannel(),
  }) as unknown as AgentStub;
  return {
    run: (command, runOptions = {}) => run(execution, metadata, command, runOptions),
    describe: (deadlineMs) =>
      new Promise((resolve, reject) => {
        const callOptions = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
        agent.Describe({}, metadata, callOptions, (error, response) => {
          if (error !== null || response === undefined) {
            reject(error ?? new Error("the guest answered nothing"));
          } else {
            resolve(response);
          }
        });
      }),
    close: () => execution.close(),
  };
}

async function run(
  stub: ExecutionStub,
  metadata: Metadata,
  command: string,
  options: RunOptions,
): Promise<RunResult> {
  const {
    args = [],
    env = {},
    stdin = new Uint8Array(),
    workingDirectory = "",
    timeoutMs = 0,
    signal,
  } = options;
  signal?.throwIfAborted();
  const call = stub.Run({ command, args, env, stdin, workingDirectory, timeoutMs }, metadata);
  const cancel = (): void => call.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  const takeStdout = options.onStdout ?? ((chunk: Buffer): unknown => stdout.push(chunk));
  const takeStderr = options.onStderr ?? ((chunk: Buffer): unknown => stderr.push(chunk));
  let exit: RunExit | undefined;
  try {
    for await (const response of call) {
      switch (response.event) {
        case "started":
          break;
        case "stdout":
          takeStdout(response.stdout);
          break;
        case "stderr":
          takeStderr(response.stderr);
          break;
        case "exit":
          exit = response.exit;
          break;
        default:
          throw new SatelliteError("UnknownEvent", "the guest sent an event that this client does not know");
      }
    }
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
  if (exit === undefined) {
    throw new SatelliteError("NoExit", `the guest ended the call without telling how ${command} ended`);
  }
  return { ...exit, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) };
}
