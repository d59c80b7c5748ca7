import { join } from "node:path";

import type { ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

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

/**
 * Reads the guest's three .proto files.
 *
 * @param directory where they lie; by default beside this module, which also holds for the bundle, because
 *   the image builder puts them beside it
 */
export function loadGuestSchema(directory: string = import.meta.dirname): GuestSchema {
  const files = ["execution.proto", "agent.proto", "health.proto"].map((name) => join(directory, name));
  const definitions = loadSync(files, { longs: Number, enums: String, defaults: true, oneofs: true });
  const service = (name: string): ServiceDefinition => definitions[name] as ServiceDefinition;
  return {
    execution: service("satellites.exec.v1.Execution"),
    agent: service("satellites.guest.v1.Agent"),
    health: service("grpc.health.v1.Health"),
  };
}
