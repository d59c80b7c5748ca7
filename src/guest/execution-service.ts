import { statSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import type { Readable } from "node:stream";

import { type ServerWritableStream, status } from "@grpc/grpc-js";

import { SatelliteError, toError } from "../base/errors.ts";
import { type CommandEnvironment, type CommandSpec, startCommand } from "./command.ts";
import type { RunRequest, RunResponse } from "./schema.ts";

/** Where and how commands run. */
export interface ExecutionOptions extends CommandEnvironment {
  /** Directory whose files survive; the default working directory. */
  readonly workDirectory: string;
  /** Environment that every command gets. */
  readonly baseEnv: Readonly<Record<string, string>>;
  /** Called with +1 at each command's start and -1 at its end. */
  readonly onRunning: (change: 1 | -1) => void;
}

type RunCall = ServerWritableStream<RunRequest, RunResponse>;

/** Largest delay that a timer of Node.js can wait (2^31 - 1 ms); longer ones would fire at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** Implements `satellites.exec.v1.Execution`. */
export function createExecutionService(options: ExecutionOptions): { Run(call: RunCall): void } {
  return {
    Run(call) {
      run(call, options).then(
        () => call.end(),
        (thrown: unknown) => call.emit("error", toStatus(thrown)),
      );
    },
  };
}

async function run(call: RunCall, options: ExecutionOptions): Promise<void> {
  const command = startCommand(readRequest(call.request, options), options);
  options.onRunning(1);
  try {
    call.on("cancelled", () => command.kill());
    if (call.cancelled) {
      command.kill();
    }
    call.write({ event: "started", started: { pid: command.pid } });
    await Promise.all([
      forward(command.stdout, call, (stdout) => ({ event: "stdout", stdout })),
      forward(command.stderr, call, (stderr) => ({ event: "stderr", stderr })),
      command.exited,
    ]);
    call.write({ event: "exit", exit: await command.exited });
  } finally {
    options.onRunning(-1);
  }
}

/** Sends the command's output, no faster than the caller reads it. */
async function forward(source: Readable, call: RunCall, wrap: (chunk: Buffer) => RunResponse): Promise<void> {
  for await (const chunk of source) {
    if (!call.cancelled && !call.write(wrap(chunk as Buffer))) {
      await drained(call);
    }
  }
}

function drained(call: RunCall): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off("drain", done);
      call.off("cancelled", done);
      resolve();
    };
    call.once("drain", done);
    // When the caller has gone, "drain" never comes: the command is being killed, and its last output is dropped.
    call.once("cancelled", done);
  });
}

/** @throws SatelliteError `InvalidCommand` that says which field is wrong */
function readRequest(request: RunRequest, options: ExecutionOptions): CommandSpec {
  const { command, args, env, stdin, workingDirectory, timeoutMs } = request;
  if (command === "") {
    throw new SatelliteError("InvalidCommand", "command is empty; name the program to run");
  }
  if (
    [command, ...args, workingDirectory, ...Object.entries(env).flat()].some((text) => text.includes("\0"))
  ) {
    throw new SatelliteError(
      "InvalidCommand",
      "command, args, env and working_directory can't hold a NUL byte",
    );
  }
  if (timeoutMs < 0 || timeoutMs > MAX_TIMEOUT_MS) {
    throw new SatelliteError("InvalidCommand", `timeout_ms must lie between 0 and ${MAX_TIMEOUT_MS}`);
  }
  const directory = isAbsolute(workingDirectory)
    ? workingDirectory
    : join(options.workDirectory, workingDirectory);
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new SatelliteError("InvalidCommand", `working_directory ${directory} is not a directory`);
  }
  return {
    command,
    args,
    env: { ...options.baseEnv, ...env },
    stdin,
    workingDirectory: directory,
    timeoutMs,
  };
}

function toStatus(thrown: unknown): { code: status; details: string } {
  const error = toError(thrown);
  const invalid = error instanceof SatelliteError && error.code === "InvalidCommand";
  return { code: invalid ? status.INVALID_ARGUMENT : status.INTERNAL, details: error.message };
}
