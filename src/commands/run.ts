import { Metadata, status as grpcStatus } from "@grpc/grpc-js";
import { SatelliteError } from "../base/errors.ts";
import { connectGuest } from "../guest/client.ts";
import type { ProcessContext } from "./process-context.ts";
import { openRunAccess, type RunAccessOptions } from "./run-access.ts";

/** Options of `satellites run`. */
export type RunCommandOptions = RunAccessOptions;

/**
 * Runs a command in a satellite through a router.
 *
 * @returns the command's exit code
 * @throws SatelliteError `CallFailed` with the gRPC status and what the router says, `InvalidOption`; KubeError when
 *   the API server gives no token
 */
export async function runInSatellite(
  name: string,
  [command = "", ...args]: readonly string[],
  options: RunCommandOptions,
  context: Omit<ProcessContext, "faults">,
): Promise<number> {
  const { token, ...connection } = await openRunAccess(options, context);
  const metadata = new Metadata();
  metadata.set("satellite-name", name);
  metadata.set("satellite-namespace", options.namespace);
  if (token !== undefined) {
    metadata.set("authorization", `Bearer ${token}`);
  }
  const client = connectGuest(options.router, { metadata, ...connection });
  try {
    const result = await client.run(command, {
      args,
      signal: context.stop,
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
  return new SatelliteError(
    "CallFailed",
    `${grpcStatus[code] ?? code}: ${details.trim()}${hintOf(grpcStatus[code] ?? "", details, router)}`,
    { cause: error },
  );
}

/** What to do about a refusal, where the options of this command may be the cause. */
function hintOf(status: string, details: string, router: string): string {
  if (status === "UNAUTHENTICATED") {
    return "; name a --service-account or a --token-file, or a client certificate";
  }
  const isUnreached = /^(No connection|Name resolution|Connection dropped|Protocol error)/.test(details);
  return status === "UNAVAILABLE" && isUnreached
    ? `; is there a router at ${router}, and does it speak TLS (--tls or --ca) just as this command does?`
    : "";
}
