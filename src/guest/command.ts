import { spawn, type ChildProcess } from "node:child_process";
import type { Readable, Writable } from "node:stream";

import { type Clock, type Timer } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import type { Cell, Confinement } from "./confinement.ts";
import type { RunExit } from "./schema.ts";

/** A command to run. */
export interface CommandSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: Uint8Array;
  /** Absolute path of an existing directory. */
  readonly workingDirectory: string;
  /** Milliseconds until the command is ended; 0 means never. */
  readonly timeoutMs: number;
}

/** Who a command runs as; absent means as the service itself. */
export interface CommandUser {
  readonly uid: number;
  readonly gid: number;
}

/** What commands need from their surroundings. */
export interface CommandEnvironment {
  readonly clock: Clock;
  readonly confinement: Confinement;
  readonly user?: CommandUser;
}

/** A command that runs. */
export interface RunningCommand {
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves once the main process has ended and both outputs are read to their end. */
  readonly exited: Promise<RunExit>;
  /** Ends the command and everything that it started, at once. */
  kill(): void;
}

/** Milliseconds from SIGTERM at a timeout to SIGKILL. */
const TERM_GRACE_MS = 2000;

/**
 * The shell waits for a line on descriptor 3 before it becomes the command, so that the command is confined before
 * it can start anything.
 */
const GATE = 'read -r _ <&3 && exec 3<&- && exec "$@"';

/**
 * Starts a command in its own session and process group, confined. When its main process ends, the processes
 * that it started are killed: otherwise they would keep the VM busy unnoticed.
 *
 * @throws SatelliteError `SpawnFailed` when no process could be made
 */
export function startCommand(spec: CommandSpec, environment: CommandEnvironment): RunningCommand {
  const child = spawn("/bin/sh", ["-c", GATE, "sh", spec.command, ...spec.args], {
    cwd: spec.workingDirectory,
    env: spec.env,
    detached: true,
    stdio: ["pipe", "pipe", "pipe", "pipe"],
    ...environment.user,
  });
  const { pid } = child;
  if (pid === undefined) {
    child.once("error", () => {});
    throw new SatelliteError(
      "SpawnFailed",
      "the command's process could not be made; is the VM out of memory?",
    );
  }
  const [stdin, stdout, stderr, gate] = child.stdio as unknown as [Writable, Readable, Readable, Writable];
  const cell = confineOrKill(child, pid, environment.confinement);
  const timers: Timer[] = [];
  let timedOut = false;
  let ended = false;
  // Once the main process is reaped, its number may belong to another process.
  const killAll = (): void => {
    if (!ended) {
      cell.killAll();
    }
  };

  const exited = new Promise<RunExit>((resolve, reject) => {
    child.once("error", (error) => reject(spawnFailed(error)));
    child.once("exit", () => {
      timers.forEach((timer) => timer.cancel());
      killAll();
      ended = true;
    });
    child.once("close", (code, signal) => {
      cell.close();
      resolve({ code: code ?? 0, signal: signal ?? "", timedOut });
    });
  });

  if (spec.timeoutMs > 0) {
    const onTimeout = (): void => {
      timedOut = true;
      process.kill(-pid, "SIGTERM");
      timers.push(environment.clock.setTimer(TERM_GRACE_MS, killAll));
    };
    timers.push(environment.clock.setTimer(spec.timeoutMs, onTimeout));
  }
  // A command need not read its input: EPIPE is no failure.
  stdin.on("error", () => {});
  gate.on("error", () => {});
  gate.end("\n");
  stdin.end(spec.stdin);
  return { pid, stdout, stderr, exited, kill: killAll };
}

function confineOrKill(child: ChildProcess, pid: number, confinement: Confinement): Cell {
  try {
    return confinement.confine(pid);
  } catch (thrown) {
    child.kill("SIGKILL");
    throw new SatelliteError("SpawnFailed", `the command could not be confined: ${toError(thrown).message}`, {
      cause: thrown,
    });
  }
}

function spawnFailed(error: Error): SatelliteError {
  return new SatelliteError("SpawnFailed", `the command could not be started: ${error.message}`, {
    cause: error,
  });
}
