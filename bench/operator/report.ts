import type { Figures } from "./figures.ts";

/** A line of the table. */
interface Line {
  readonly title: string;
  readonly value: (figures: Figures) => number;
  readonly digits?: number;
  /** What the largest fleet should reach. */
  readonly target?: string;
}

const LINES: readonly Line[] = [
  { title: "caches filled, s", value: (f) => f.syncedSeconds, digits: 1, target: "< 10 with 10,000" },
  { title: "all reconciled once, s", value: (f) => f.reconciledSeconds, digits: 1 },
  { title: "reconciled per second", value: (f) => f.reconcilesPerSecond },
  {
    title: "CPU of the start per satellite, ms",
    value: (f) => f.startCpuMsPerSatellite,
    digits: 2,
    target: "flat",
  },
  { title: "RSS, peak of the start, MiB", value: (f) => f.peakRssMiB, target: "< 350" },
  { title: "RSS at rest, MiB", value: (f) => f.rest.rssMiB, target: "< 350" },
  { title: "CPU at rest, % of a core", value: (f) => f.rest.cpuPercent, digits: 1 },
  { title: "API requests per minute at rest", value: (f) => f.rest.apiRequestsPerMinute },
  { title: "EC2 calls per minute at rest", value: (f) => f.rest.ec2CallsPerMinute, target: "<= 15" },
  { title: "woken at once", value: (f) => f.wake.satellites },
  {
    title: "until all run, s (17 are EC2's)",
    value: (f) => f.wake.seconds,
    digits: 1,
    target: "EC2's limits alone",
  },
  { title: "machine busy meanwhile, %", value: (f) => f.wake.machineBusyPercent },
  { title: "StartInstances calls", value: (f) => f.wake.startInstancesCalls, target: "<= 20 for 1,000" },
  { title: "EC2 calls in all", value: (f) => Object.values(f.wake.ec2Calls).reduce((a, b) => a + b, 0) },
  { title: "EC2 calls throttled", value: (f) => f.wake.throttledCalls, target: "0" },
  { title: "API requests per wake", value: (f) => f.wake.apiRequestsPerSatellite, digits: 1 },
  { title: "CPU per wake, ms", value: (f) => f.wake.cpuMsPerSatellite, digits: 1, target: "flat" },
  { title: "RSS, peak of the wakes, MiB", value: (f) => f.wake.peakRssMiB, target: "< 350" },
];

/** Prints a line for each figure, a column for each fleet, and the targets. */
export function printTable(figures: readonly Figures[]): void {
  const head = ["satellites", ...figures.map(({ satellites }) => satellites.toLocaleString("en")), "target"];
  const rows = LINES.map(({ title, value, digits = 0, target = "" }) => [
    title,
    ...figures.map((each) => value(each).toFixed(digits)),
    target,
  ]);
  for (const [title = "", ...cells] of [head, ...rows]) {
    console.log(title.padEnd(38), ...cells.map((cell) => cell.padStart(10)));
  }
}
