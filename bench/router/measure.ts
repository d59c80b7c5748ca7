import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

import type { Running } from "./contenders.ts";
import { NAMING_HEADERS, type Row } from "./rows.ts";

const run = promisify(execFile);

/** What a contender did in one cell of the table. */
export interface Cell {
  readonly requestsPerSecond: number;
  readonly failed: number;
  /** Processor time of the proxy; absent where there is none between client and server. */
  readonly cpuMicrosPerRequest?: number;
  /** From a request to the end of its answer; of rows that ask for it. */
  readonly latencyMicros?: { readonly p50: number; readonly p99: number };
}

/** One run of h2load. */
export interface Load {
  readonly row: Row;
  readonly port: number;
  readonly seconds: number;
  readonly directory: string;
  readonly proxy?: Running;
}

const WARM_UP_SECONDS = 3;

/** Runs h2load once, behind runs that warm up caches and compilers. */
export async function measure(load: Load): Promise<Cell> {
  for (let second = 0; second < (load.row.warmUpSeconds ?? WARM_UP_SECONDS); second += 1) {
    await h2load({ ...load, seconds: 1 }, []);
  }
  const logFile = path.join(load.directory, "requests.log");
  rmSync(logFile, { force: true });
  const before = load.proxy?.cpuMicros() ?? 0;
  const { done, failed } = await h2load(load, load.row.isLatency === true ? [`--log-file=${logFile}`] : []);
  const cpuMicros = (load.proxy?.cpuMicros() ?? 0) - before;
  return {
    requestsPerSecond: Math.round(done / load.seconds),
    failed,
    ...(load.proxy === undefined
      ? {}
      : { cpuMicrosPerRequest: Number((cpuMicros / Math.max(1, done)).toFixed(2)) }),
    ...(load.row.isLatency === true ? { latencyMicros: percentiles(readFileSync(logFile, "utf8")) } : {}),
  };
}

async function h2load(
  { row, port, seconds, directory }: Load,
  more: readonly string[],
): Promise<{ readonly done: number; readonly failed: number }> {
  const { stdout } = await run("h2load", [
    `--duration=${seconds}`,
    `--clients=${row.connections}`,
    `--max-concurrent-streams=${row.streams}`,
    `--window-bits=${row.clientWindowBits ?? 24}`,
    `--connection-window-bits=${row.clientWindowBits ?? 26}`,
    ...[...NAMING_HEADERS, ...(row.headers ?? [])].map((header) => `--header=${header}`),
    ...(row.uploadBytes === undefined ? [] : [`--data=${path.join(directory, "upload")}`]),
    ...more,
    `${row.isTls === true ? "https" : "http"}://127.0.0.1:${port}${row.path}`,
  ]);
  const count = (what: string): number => Number(new RegExp(`(\\d+) ${what}`).exec(stdout)?.[1] ?? "0");
  // An answer with an error counts as done, too.
  return { done: count("done"), failed: count("failed") + count("4xx") + count("5xx") };
}

/** h2load logs a line for each request: when it began, its status, and how long it took, in microseconds. */
function percentiles(log: string): { readonly p50: number; readonly p99: number } {
  const times = log
    .split("\n")
    .filter(Boolean)
    .map((line) => Number(line.split("\t")[2]))
    .toSorted((left, right) => left - right);
  const at = (share: number): number => times[Math.floor(share * times.length)] ?? 0;
  return { p50: at(0.5), p99: at(0.99) };
}
