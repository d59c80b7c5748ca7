import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** A program that a test started. */
export interface TestProcess {
  readonly name: string;
  readonly pid: number;
  /** Whether it still runs. */
  isRunning(): boolean;
  /** Sends a signal that does not end it, such as SIGSTOP. */
  signal(signal: NodeJS.Signals): void;
  /** Resolves when it has ended: with its exit code, or null when a signal ended it. */
  readonly ended: Promise<number | null>;
  /** Sends `signal` and waits until it is gone; harmless when it already is. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** End of what it wrote to standard output and standard error. */
  logTail(lines?: number): string;
}

/** A free TCP port on loopback. Somebody may take it before it is used: callers retry. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") {
    throw new Error("the system gave no TCP port");
  }
  return address.port;
}

const running = new Set<ChildProcess>();

/** Kills children when this process ends without having stopped them, as after a failed hook. */
function killAll(): void {
  for (const child of running) {
    child.kill("SIGKILL");
  }
}

/** One hook for all: Node.js takes many of them for a leak. */
function killAtExit(child: ChildProcess): () => void {
  if (running.size === 0) {
    process.once("exit", killAll);
  }
  running.add(child);
  return () => {
    running.delete(child);
    if (running.size === 0) {
      process.off("exit", killAll);
    }
  };
}

/**
 * Starts a program whose output goes to `logPath`.
 *
 * @throws Error when it cannot be started at all
 */
export async function startProcess(
  name: string,
  program: string,
  args: readonly string[],
  logPath: string,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<TestProcess> {
  const log = openSync(logPath, "a");
  const child = spawn(program, args, { stdio: ["ignore", log, log], env: environment });
  closeSync(log);
  const dropExitHook = killAtExit(child);
  const gone = new Promise<number | null>((resolve) => {
    child.once("exit", (code) => {
      dropExitHook();
      resolve(code);
    });
  });
  await once(child, "spawn");
  return {
    name,
    pid: child.pid ?? -1,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    signal: (signal) => {
      child.kill(signal);
    },
    ended: gone,
    async stop(signal = "SIGKILL") {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill(signal);
        // A stopped process (SIGSTOP) takes SIGTERM only when it goes on.
        child.kill("SIGCONT");
      }
      await gone;
    },
    logTail: (lines = 20) => readFileSync(logPath, "utf8").trimEnd().split("\n").slice(-lines).join("\n"),
  };
}

/** Whether a program says at /readyz that it is ready. */
export async function isReady(healthPort: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${healthPort}/readyz`)).ok;
  } catch {
    return false; // Not listening yet.
  }
}

/** How long a program may take to get ready; a machine under load is slow. */
const READY_MS = 60_000;
const READY_POLL_MS = 20;

/**
 * Waits until a program is ready.
 *
 * @throws Error with its last lines when it ends first, or takes too long
 */
export async function untilReady(
  started: TestProcess,
  healthPort: number,
  patienceMs = READY_MS,
): Promise<void> {
  const untilMs = performance.now() + patienceMs;
  while (!(await isReady(healthPort))) {
    if (!started.isRunning() || performance.now() > untilMs) {
      throw new Error(`${started.name} did not come up; its last lines:\n${started.logTail()}`);
    }
    await delay(READY_POLL_MS);
  }
}
