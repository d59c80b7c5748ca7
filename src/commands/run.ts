import { Metadata, status as grpcStatus } from "@grpc/grpc-js";
import { SatelliteError } from "../base/errors.ts";
import { connectGuest } from "../guest/client.ts";

/** Options of `satellites run`. */
export interface RunCommandOptions {
  /** "host:port" of a router. */
  readonly router: string;
  readonly namespace: string;
}

/**
 * Runs a command in a satellite through a router.
 *
 * @returns the command's exit code
 * @throws SatelliteError `CallFailed` with the gRPC status and what the router says
 */
export async function runInSatellite(
  name: string,
  [command = "", ...args]: readonly string[],
  options: RunCommandOptions,
  signal: AbortSignal,
): Promise<number> {
  const metadata = new Metadata();
  metadata.set("satellite-name", name);
  metadata.set("satellite-namespace", options.namespace);
  const client = connectGuest(options.router, { metadata });
  try {
    const result = await client.run(command, {
      args,
      signal,
      onStdout: (chunk) => process.stdout.write(chunk),
      onStderr: (chunk) => process.stderr.write(chunk),
    });
    return result.signal === "" ? result.code : 128;
  } catch (error) {
    throw explain(error, options.router);
  } finally {
    client.close();
  }
}

function explain(error: unknown, router: string): unknown {
  const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
  if (!(error instanceof Error) || typeof code !== "number") {
    return error;
  }
  const details = String(Reflect.get(error, "details"));
  const isUnreached = grpcStatus[code] === "UNAVAILABLE" && /^(No connection|Name resolution)/.test(details);
  const hint = isUnreached ? `; is there a router at ${router}?` : "";
  return new SatelliteError("CallFailed", `${grpcStatus[code] ?? code}: ${details.trim()}${hint}`, {
    cause: error,
  });
}
