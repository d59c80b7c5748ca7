import { readFileSync } from "node:fs";

import { Server, ServerCredentials } from "@grpc/grpc-js";

import { SatelliteError } from "../base/errors.ts";
import { createAgentService } from "./agent-service.ts";
import { createExecutionService, type ExecutionOptions } from "./execution-service.ts";
import { createHealthService } from "./health-service.ts";
import type { GuestIdentity } from "./identity.ts";
import type { GuestDescription, GuestSchema } from "./schema.ts";

/** What the guest service needs. */
export interface GuestServerOptions extends Omit<ExecutionOptions, "onRunning"> {
  readonly schema: GuestSchema;
  /** Address to listen on, "host:port"; port 0 picks one. */
  readonly address: string;
  /** Identity of this boot; by default the kernel's own. */
  readonly bootID?: string;
  /** Serves TLS with this key; plain text when absent. */
  readonly identity?: GuestIdentity;
  /** Milliseconds between HTTP/2 pings to a silent client; the command of a client that is gone must not run on. */
  readonly keepaliveMs?: number;
}

/** A guest service that listens. */
export interface GuestServer {
  readonly port: number;
  /** Refuses new calls, gives running ones `graceMs` to end, then cancels them. */
  close(graceMs: number): Promise<void>;
}

const BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id";
/** A command line may carry its input: 16 MiB, the size that BuildKit uses too. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

/**
 * Starts the remote-execution service: `satellites.exec.v1.Execution`, `satellites.guest.v1.Agent` and
 * `grpc.health.v1.Health` on one port.
 *
 * @throws SatelliteError `ListenFailed` when the address is taken or wrong
 */
export async function startGuestServer(options: GuestServerOptions): Promise<GuestServer> {
  const bootId = options.bootID ?? readFileSync(BOOT_ID_FILE, "utf8").trim();
  const processStartTimeMs = options.clock.now().getTime();
  let calls = 0;
  let runningCommands = 0;
  const describe = (): GuestDescription => ({
    bootId,
    processStartTimeMs,
    calls,
    runningCommands,
    wallClockMs: options.clock.now().getTime(),
    runtimeVersion: process.version,
  });
  const execution = createExecutionService({
    ...options,
    onRunning: (change) => (runningCommands += change),
  });
  const health = createHealthService(["satellites.exec.v1.Execution", "satellites.guest.v1.Agent"]);

  const server = new Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.keepalive_time_ms": options.keepaliveMs ?? 30_000,
    "grpc.keepalive_timeout_ms": 20_000,
  });
  const counted = <Handlers extends object>(handlers: Handlers): Handlers =>
    Object.fromEntries(
      Object.entries(handlers).map(([name, handler]: [string, (...values: unknown[]) => void]) => [
        name,
        (...values: unknown[]): void => {
          calls += 1;
          handler(...values);
        },
      ]),
    ) as Handlers;
  server.addService(options.schema.execution, { ...counted(execution) });
  server.addService(options.schema.agent, { ...counted(createAgentService(describe)) });
  // Health checks are not counted: the count tells how much work was done.
  server.addService(options.schema.health, { ...health.handlers });

  const port = await listen(server, options.address, credentials(options.identity));
  return {
    port,
    async close(graceMs) {
      health.shutDown();
      const timer = options.clock.setTimer(graceMs, () => server.forceShutdown());
      await new Promise<void>((resolve) => {
        server.tryShutdown(() => resolve());
      });
      timer.cancel();
    },
  };
}

function credentials(identity: GuestIdentity | undefined): ServerCredentials {
  if (identity === undefined) {
    return ServerCredentials.createInsecure();
  }
  const pair = {
    private_key: Buffer.from(identity.keyPem),
    cert_chain: Buffer.from(identity.certificatePem),
  };
  return ServerCredentials.createSsl(null, [pair]);
}

function listen(server: Server, address: string, security: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, security, (error, port) => {
      if (error === null) {
        resolve(port);
      } else {
        reject(
          new SatelliteError(
            "ListenFailed",
            `the guest service can't listen on ${address}: ${error.message}`,
            {
              cause: error,
            },
          ),
        );
      }
    });
  });
}
