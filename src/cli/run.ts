import { mkdtempSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { Metadata, status as grpcStatus } from "@grpc/grpc-js";
import { SatelliteError } from "../base/errors.ts";
import { connectGuest } from "../guest/client.ts";
import type { ConnectFlags } from "./connect.ts";
import type { CliContext, Output } from "./context.ts";
import { openProxy } from "./proxy.ts";
import { withContextRouter } from "./proxy/context-router.ts";
import type { RouterFlags } from "./router-flags.ts";
import { showWaiting } from "./waiting.ts";

/** Flags of `run`. */
export interface RunFlags {
  readonly stdin?: boolean;
  readonly workdir?: string;
  /** "NAME=VALUE" each. */
  readonly env?: readonly string[];
}

/** The guest takes the whole of standard input in one message, of 4 MiB at most (grpc-js's default for receivers). */
const MAX_STDIN_BYTES = 4 * 1024 * 1024 - 64 * 1024;
const INTERRUPTED = 128 + constants.signals.SIGINT;

/**
 * Runs a command in a satellite, through a proxy of its own, so that it finds its way and its token as `proxy` does.
 *
 * @returns the command's exit status; 128 and the signal's number where a signal ended it, as shells have it
 * @throws SatelliteError `CallFailed` with the gRPC status and what router or guest say, `InvalidOption`
 */
export async function run(
  name: string,
  [command = "", ...args]: readonly string[],
  given: ConnectFlags & RouterFlags & RunFlags,
  context: CliContext,
): Promise<number> {
  const flags = withContextRouter(given, context);
  const env = readVariables(flags.env ?? []);
  const stdin = flags.stdin === true ? await readAll(context) : new Uint8Array();
  const directory = makePrivateDirectory();
  const socket = join(directory, "router.sock");
  try {
    const said: string[] = [];
    const opened = await openProxy(name, { socket }, flags, context, (line) => said.push(line));
    const client = connectGuest(`unix:${socket}`, { metadata: new Metadata() });
    const endWaiting = showWaiting(opened.satellite, flags, context);
    const writeTo = (output: Output) => (chunk: Uint8Array) => {
      endWaiting();
      output.write(chunk);
    };
    try {
      const result = await client.run(command, {
        args,
        env,
        stdin,
        ...(flags.workdir === undefined ? {} : { workingDirectory: flags.workdir }),
        signal: context.stop,
        onStdout: writeTo(context.out),
        onStderr: writeTo(context.err),
      });
      return result.signal === "" ? result.code : 128 + signalNumber(result.signal);
    } catch (error) {
      if (context.stop.aborted) {
        // The guest ends a command whose call is cancelled.
        return INTERRUPTED;
      }
      throw explain(error, flags.router, said.at(-1));
    } finally {
      endWaiting();
      client.close();
      await opened.close();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * A new folder that no other user may enter, for the socket.
 *
 * Containers whose root cannot be written to, or has no /tmp, have the shared memory of POSIX at least.
 *
 * @throws Error of the first place that was tried, when none can be written to
 */
function makePrivateDirectory(): string {
  let first: unknown;
  for (const place of [tmpdir(), "/dev/shm"]) {
    try {
      return mkdtempSync(join(place, "satellites-run-"));
    } catch (error) {
      first ??= error;
    }
  }
  throw first;
}

function readVariables(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) {
        throw new SatelliteError("InvalidOption", `--env ${pair} is not of the form NAME=VALUE`);
      }
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

async function readAll({ stdin }: CliContext): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    const buffer = Buffer.from(chunk);
    bytes += buffer.length;
    if (bytes > MAX_STDIN_BYTES) {
      throw new SatelliteError(
        "InputTooLarge",
        `standard input is longer than ${MAX_STDIN_BYTES} bytes, which is what the guest takes; bring files in otherwise`,
      );
    }
    chunks.push(buffer);
  }
  return Buffer.concat(chunks);
}

function signalNumber(name: string): number {
  const number: unknown = Reflect.get(constants.signals, name);
  return typeof number === "number" ? number : 0;
}

/** @param said the last that the proxy said of its way to the router */
function explain(error: unknown, router: string | undefined, said: string | undefined): unknown {
  const code: unknown = error instanceof Error ? Reflect.get(error, "code") : undefined;
  if (!(error instanceof Error) || typeof code !== "number") {
    return error;
  }
  const status = grpcStatus[code] ?? String(code);
  const details = String(Reflect.get(error, "details")).trim();
  const hints: Readonly<Record<string, string>> = {
    UNAUTHENTICATED: "; name a --service-account or a --token-file, or a client certificate",
    UNIMPLEMENTED:
      "; the satellite's guest serves no satellites.exec.v1.Execution, as BuildKit alone does: use kubectl satellite proxy",
  };
  const isCutOff =
    status === "UNAVAILABLE" && /^(?:No connection|Connection dropped|Protocol error)/.test(details);
  // What grpc-js says then is about the socket between it and the proxy.
  const why = isCutOff ? (said ?? "the connection to the router ended") : details;
  const hint =
    isCutOff && router !== undefined
      ? `; is there a router at ${router}, and does it speak TLS (--tls or --ca) just as this command does?`
      : (hints[status] ?? "");
  return new SatelliteError("CallFailed", `${status}: ${why}${hint}`, { cause: error });
}
