import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import protobuf from "protobufjs";

import { BUILDKIT_PROTO_FILE, PROTO_FILES, readProtoFile } from "./proto-files.ts";

/** Request of `satellites.exec.v1.Execution/Run`; execution.proto says what each field means. */
export interface RunRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: Uint8Array;
  readonly workingDirectory: string;
  readonly timeoutMs: number;
}

/** How a command ended. */
export interface RunExit {
  readonly code: number;
  readonly signal: string;
  readonly timedOut: boolean;
}

/** One event of a running command, named by `event`. */
export type RunResponse =
  | { readonly event: "started"; readonly started: { readonly pid: number } }
  | { readonly event: "stdout"; readonly stdout: Buffer }
  | { readonly event: "stderr"; readonly stderr: Buffer }
  | { readonly event: "exit"; readonly exit: RunExit };

/** Answer of `satellites.guest.v1.Agent/Describe`; agent.proto says what each field means. */
export interface GuestDescription {
  readonly bootId: string;
  readonly processStartTimeMs: number;
  readonly calls: number;
  readonly runningCommands: number;
  readonly wallClockMs: number;
  readonly runtimeVersion: string;
}

/** The services of the guest, as grpc-js takes them. */
export interface GuestSchema {
  readonly execution: ServiceDefinition;
  readonly agent: ServiceDefinition;
  readonly health: ServiceDefinition;
}

/** What the operator reads of an answer of `moby.buildkit.v1.Control/ListWorkers`. */
export interface ListWorkersResponse {
  readonly record: readonly {
    readonly labels: Readonly<Record<string, string>>;
    readonly gcPolicy: readonly { readonly filters: readonly string[]; readonly maxUsedSpace: number }[];
    readonly buildkitVersion: { readonly version: string } | null;
  }[];
}

/** What it reads of an answer of `DiskUsage`; sizes are in bytes. */
export interface DiskUsageResponse {
  readonly record: readonly { readonly size: number }[];
}

/** What it reads of an event of `ListenBuildHistory`. */
export interface BuildHistoryEvent {
  readonly type: "STARTED" | "COMPLETE" | "DELETED";
}

/** How messages look to the handlers: numbers for 64-bit integers, names for enums, every field present. */
const CONVERSION: protobuf.IConversionOptions = {
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
};

/**
 * Reads the guest's three .proto files. protobufjs is used directly: the usual
 * @grpc/proto-loader also builds reflection descriptors, which nothing here reads. What that saves at start
 * is not settled (first pass 2.9 s against 1.8 s under TCG, second pass 2.8 s against 2.6 s, on a busy host).
 *
 * @param directory where they lie; by default beside this module, which also holds for the guest's own bundle,
 *   because the image builder puts them beside it (the product's bundle carries them inside)
 */
export function loadGuestSchema(directory: string = import.meta.dirname): GuestSchema {
  const root = new protobuf.Root();
  for (const name of PROTO_FILES) {
    protobuf.parse(readProtoFile(name, directory), root);
  }
  return {
    execution: serviceDefinition(root, "satellites.exec.v1.Execution"),
    agent: serviceDefinition(root, "satellites.guest.v1.Agent"),
    health: serviceDefinition(root, "grpc.health.v1.Health"),
  };
}

/**
 * Reads what is known here of BuildKit's API.
 *
 * @param directory as for {@link loadGuestSchema}
 */
export function loadBuildkitSchema(directory: string = import.meta.dirname): ServiceDefinition {
  const root = new protobuf.Root();
  protobuf.parse(readProtoFile(BUILDKIT_PROTO_FILE, directory), root);
  return serviceDefinition(root, "moby.buildkit.v1.Control");
}

function serviceDefinition(root: protobuf.Root, serviceName: string): ServiceDefinition {
  const service = root.lookupService(serviceName);
  const methods = service.methodsArray.map((method): [string, MethodDefinition<object, object>] => {
    const request = codec(service.lookupType(method.requestType));
    const response = codec(service.lookupType(method.responseType));
    return [
      method.name,
      {
        path: `/${serviceName}/${method.name}`,
        originalName: method.name,
        requestStream: method.requestStream === true,
        responseStream: method.responseStream === true,
        requestSerialize: request.serialize,
        requestDeserialize: request.deserialize,
        responseSerialize: response.serialize,
        responseDeserialize: response.deserialize,
      },
    ];
  });
  return Object.fromEntries(methods);
}

function codec(type: protobuf.Type): {
  readonly serialize: (value: object) => Buffer;
  readonly deserialize: (bytes: Buffer) => object;
} {
  return {
    serialize: (value) => Buffer.from(type.encode(type.fromObject(value)).finish()),
    deserialize: (bytes) => type.toObject(type.decode(bytes), CONVERSION),
  };
}
