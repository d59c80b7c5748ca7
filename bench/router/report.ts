import { writeFileSync } from "node:fs";
import process from "node:process";

import type { StallFigures } from "./many-satellites.ts";
import type { Cell } from "./measure.ts";
import type { WakeFigures } from "./wake.ts";

/** What one run of the bench found. */
export interface Results {
  readonly machine: Readonly<Record<string, unknown>>;
  readonly versions: Readonly<Record<string, string>>;
  readonly seconds: number;
  readonly rounds: number;
  /** By row, by contender. */
  readonly cells: Readonly<Record<string, Readonly<Record<string, Cell>>>>;
  readonly ratios: Ratios;
  /** The worst delay of the event loop that the router saw, at its 99th percentile, in milliseconds. */
  readonly loopDelayP99Ms: Readonly<Record<string, number>>;
  /** Streams of one connection to many satellites. */
  readonly manySatellites?: StallFigures;
  readonly wakes?: WakeFigures;
}

/** Our figure over a peer's, by row, by peer: requests per second (more is better), and processor time (less is better). */
export type Ratios = Readonly<Record<string, Readonly<Record<string, Ratio>>>>;

interface Ratio {
  readonly rate: number;
  readonly cpu: number;
}

/** The contender that is compared with all others. */
export const OURS = "router";

/** What was aimed at: least rate and most processor time over a peer's, by the beginning of a row's name. */
type Goal = readonly [row: string, peer: string, rate: number, cpu?: number];

/** The longer beginning comes first: a row has the goals of the first that fits. */
const GOALS: readonly Goal[] = [
  ["8 × 32,", "nghttpx", 1.3, 0.7],
  ["8 × 32,", "haproxy", 1],
  ["8 × 32,", "node:http2", 5],
  ["8 × 32", "nghttpx", 1.6, 0.7],
  ["8 × 32", "haproxy", 1],
  ["8 × 32", "node:http2", 5],
  ["32 × 4", "haproxy", 1],
  ["32 × 4", "nghttpx", 1],
  ["64 × 1", "haproxy", 1],
  ["64 × 1", "nghttpx", 0.8],
  ["1 MiB responses, 8 × 4, TLS", "nghttpx", 1],
  ["1 MiB responses, 8 × 4,", "nghttpx", 0.9],
  ["1 MiB responses, 8 × 4,", "haproxy", 1],
  ["1 MiB responses, 8 × 4", "nghttpx", 1.1],
  ["1 MiB responses, 8 × 4", "haproxy", 1],
];

/** Most p99 of a request that comes behind the one before, over nghttpx's. */
const MAX_P99_RATIO = 1.2;

/** Compares our cells with all others of their row. */
export function ratios(cells: Results["cells"]): Ratios {
  const table: Record<string, Record<string, Ratio>> = {};
  for (const [row, byContender] of Object.entries(cells)) {
    const ours = byContender[OURS];
    for (const [peer, cell] of Object.entries(byContender)) {
      if (
        ours?.cpuMicrosPerRequest === undefined ||
        cell.cpuMicrosPerRequest === undefined ||
        peer === OURS
      ) {
        continue;
      }
      (table[row] ??= {})[peer] = {
        rate: round(ours.requestsPerSecond / cell.requestsPerSecond),
        cpu: round(ours.cpuMicrosPerRequest / cell.cpuMicrosPerRequest),
      };
    }
  }
  return table;
}

function round(value: number): number {
  return Number(value.toFixed(2));
}

/** Prints the tables that docs/benchmarks.md has. */
export function printTable(results: Results): void {
  printRatios(ratios(results.cells));
  for (const [row, cells] of Object.entries(results.cells)) {
    const times = Object.entries(cells).flatMap(([name, { latencyMicros }]) =>
      latencyMicros === undefined ? [] : [`${name} ${latencyMicros.p50}, ${latencyMicros.p99}`],
    );
    if (times.length > 0) {
      process.stdout.write(`${row}, p50 and p99 in µs: ${times.join("; ")}; ${p99GoalOf(cells)}\n`);
    }
  }
  const delays = Object.entries(results.loopDelayP99Ms).map(([name, delayMs]) => `${name} ${delayMs} ms`);
  process.stdout.write(`\nevent loop delay at p99, the worst of all rows: ${delays.join(", ")}\n`);
  if (results.wakes !== undefined) {
    process.stdout.write(`${JSON.stringify(results.wakes, undefined, 2)}\n`);
  }
}

function printRatios(table: Ratios): void {
  const rows = Object.keys(table);
  const peers = [...new Set(rows.flatMap((row) => Object.keys(table[row] ?? {})))];
  print(["connections × streams", ...peers, "goal"]);
  print(Array.from({ length: peers.length + 2 }, () => "---"));
  for (const row of rows) {
    const figures = peers.map((peer) => {
      const ratio = table[row]?.[peer];
      return ratio === undefined ? "–" : `${ratio.rate.toFixed(2)}, ${ratio.cpu.toFixed(2)}`;
    });
    print([row, ...figures, goalOf(row, table[row] ?? {})]);
  }
  process.stdout.write("\n");
}

/** The goals of a row, each with what came of it; a peer that was not there proves nothing. */
export function goalOf(row: string, found: Readonly<Record<string, Ratio>>): string {
  const first = GOALS.find(([start]) => row.startsWith(start))?.[0];
  return GOALS.filter(([start]) => start === first)
    .map(([, peer, rate, cpu]) => {
      const ratio = found[peer];
      const isMet = ratio !== undefined && ratio.rate >= rate && ratio.cpu <= (cpu ?? Infinity);
      const outcome = ratio === undefined ? "not measured" : isMet ? "met" : "missed";
      return `${peer} ≥ ${rate}${cpu === undefined ? "" : ` at ≤ ${cpu}`}: ${outcome}`;
    })
    .join("; ");
}

/** What came of the goal for p99. */
export function p99GoalOf(cells: Readonly<Record<string, Cell>>): string {
  const ours = cells[OURS]?.latencyMicros?.p99;
  const theirs = cells["nghttpx"]?.latencyMicros?.p99;
  const goal = `p99 over nghttpx's ≤ ${MAX_P99_RATIO}`;
  if (ours === undefined || theirs === undefined) {
    return `${goal}: not measured`;
  }
  const ratio = ours / theirs;
  return `${goal}: ${ratio <= MAX_P99_RATIO ? "met" : "missed"}, ${ratio.toFixed(2)}`;
}

function print(columns: readonly string[]): void {
  process.stdout.write(`| ${columns.join(" | ")} |\n`);
}

// --- the plot ---------------------------------------------------------------------------------------------------------

const COLOURS: Readonly<Record<string, string>> = {
  router: "#1d6fd1",
  nghttpx: "#2f9e64",
  haproxy: "#c2571a",
  "haproxy, own connections": "#e8a67c",
  nginx: "#7a7a7a",
  "node:http2": "#b9b9b9",
};
const LEFT = 250;
const WIDTH = 900;
const BAR = 11;
const GAP = 14;
const TOP = 70;

/** Draws the processor time of each contender in each row, over that of the router, as SVG. */
export function writePlot({ cells, machine }: Results, file: string): void {
  const parts: string[] = [];
  let y = TOP;
  for (const [row, byContender] of Object.entries(cells)) {
    const shown = Object.entries(byContender).filter(([name]) => name in COLOURS);
    const ours = byContender[OURS]?.cpuMicrosPerRequest ?? 1;
    parts.push(text(LEFT - 10, y + (shown.length * BAR) / 2 + 4, row, "end"));
    for (const [name, { cpuMicrosPerRequest = 0 }] of shown) {
      const ratio = cpuMicrosPerRequest / ours;
      const length = Math.min(1, Math.log2(1 + ratio) / Math.log2(1 + MAX_RATIO)) * (WIDTH - LEFT - 60);
      parts.push(
        `<rect x="${LEFT}" y="${y}" width="${length.toFixed(1)}" height="${BAR - 1}" fill="${COLOURS[name] ?? ""}"/>`,
        text(LEFT + length + 5, y + BAR - 2, ratio.toFixed(ratio < 10 ? 2 : 0), "start", 9),
      );
      y += BAR;
    }
    y += GAP;
  }
  let x = 20;
  const legend = Object.entries(COLOURS).map(([name, colour]) => {
    const place = x;
    x += 30 + name.length * 6;
    return `<rect x="${place}" y="36" width="10" height="10" fill="${colour}"/>${text(place + 14, 45, name, "start", 10)}`;
  });
  const title = `Processor time per request over the router's (less is better; scale: log2(1 + ratio)). ${String(machine["model"])}, ${String(machine["cpus"])} CPUs`;
  writeFileSync(
    file,
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" font-family="sans-serif">
<rect width="100%" height="100%" fill="white"/>
${text(20, 22, title, "start", 12)}
${legend.join("\n")}
${parts.join("\n")}
</svg>
`,
  );
}

const MAX_RATIO = 60;

function text(x: number, y: number, content: string, anchor: "start" | "end", size = 11): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" text-anchor="${anchor}">${content}</text>`;
}
