import { Metadata } from "@grpc/grpc-js";
import { connectGuest } from "../guest/client.ts";

/** Options of `satellites run`. */
export interface RunCommandOptions {
  /** "host:port" of a router. */
  readonly router: string;
  readonly namespace: string;
}

/** Runs a command in a satellite through a router, and ends as the command ended. */
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
  } finally {
    client.close();
  }
}
