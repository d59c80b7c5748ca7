import type { Figures } from "./figures.ts";

/** A line of the table. */
interface Line {
  readonly title: string;
  /** The figure of one fleet; `first` is the smallest, NaN where a figure says nothing. */
  readonly value: (figures: Figures, first: Figures) => number;
  readonly digits?: number;
  /** What the largest fleet should reach. */
  readonly target?: string;
}

const startCpuSeconds = (f: Figures): number => (f.startCpuMsPerSatellite * f.satellites) / 1000;

/** What each satellite adds to a figure; what the process costs without any is in the first fleet's already. */
function beyond(figures: Figures, first: Figures, value: (figures: Figures) => number): number {
  const more = figures.satellites - first.satellites;
  return more === 0 ? Number.NaN : (value(figures) - value(first)) / more;
}

const LINES: readonly Line[] = [
  { title: "caches filled, s", value: (f) => f.syncedSeconds, digits: 1, target: "< 10 with 10,000" },
  { title: "all reconciled once, s", value: (f) => f.reconciledSeconds, digits: 1 },
  { title: "reconciled per second", value: (f) => f.reconcilesPerSecond },
  { title: "CPU of the start, s", value: startCpuSeconds, digits: 1 },
  {
    title: "  per satellite beyond the first fleet, ms",
    value: (f, first) => beyond(f, first, startCpuSeconds) * 1000,
    digits: 2,
    target: "flat",
  },
  { title: "RSS, peak of the start, MiB", value: (f) => f.peakRssMiB, target: "< 350" },
  { title: "RSS at rest, MiB", value: (f) => f.rest.rssMiB, target: "< 350" },
  {
    title: "  per satellite beyond the first fleet, KiB",
    value: (f, first) => beyond(f, first, ({ rest }) => rest.rssMiB) * 1024,
    digits: 1,
    target: "flat",
  },
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
  { title: "  all wishes written after, s", value: (f) => f.wake.wishedSeconds, digits: 1 },
  { title: "  last StartInstances accepted after, s", value: (f) => f.wake.startedSeconds, digits: 1 },
  { title: "  a write, ms", value: (f) => f.wake.writeMs, digits: 1 },
  { title: "  wait for a worker, ms", value: (f) => f.wake.queueMs, digits: 1 },
  { title: "  CPU of the operator, s", value: (f) => f.wake.cpuSeconds.operator, digits: 1 },
  { title: "  CPU of kube-apiserver, s", value: (f) => f.wake.cpuSeconds.apiServer, digits: 1 },
  { title: "  CPU of etcd, s", value: (f) => f.wake.cpuSeconds.etcd, digits: 1 },
  { title: "  CPU of wishes, EC2 and VMs, s", value: (f) => f.wake.cpuSeconds.bench, digits: 1 },
  { title: "machine busy meanwhile, %", value: (f) => f.wake.machineBusyPercent },
  { title: "StartInstances calls", value: (f) => f.wake.startInstancesCalls, target: "<= 20 for 1,000" },
  { title: "EC2 calls in all", value: (f) => Object.values(f.wake.ec2Calls).reduce((a, b) => a + b, 0) },
  { title: "EC2 calls throttled", value: (f) => f.wake.throttledCalls, target: "0" },
  { title: "API requests per wake", value: (f) => f.wake.apiRequestsPerSatellite, digits: 1 },
  { title: "CPU per wake, ms", value: (f) => f.wake.cpuMsPerSatellite, digits: 1, target: "flat" },
  { title: "RSS, peak of the wakes, MiB", value: (f) => f.wake.peakRssMiB, target: "< 350" },
];

const CONTAINER_LINES: readonly Line[] = [
  {
    title: "container: limit of memory, MiB",
    value: ({ container }) => container?.memoryLimitMiB ?? Number.NaN,
  },
  { title: "container: memory, MiB", value: ({ container }) => container?.memoryMiB ?? Number.NaN },
  {
    title: "container: peak of memory, MiB",
    value: ({ container }) => container?.peakMemoryMiB ?? Number.NaN,
  },
  {
    title: "container: ended for memory, times",
    value: ({ container }) => container?.oomKills ?? Number.NaN,
    target: "0",
  },
  {
    title: "container: throttled periods",
    value: ({ container }) => container?.throttledPeriods ?? Number.NaN,
    target: "0",
  },
  {
    title: "container: started again, times",
    value: ({ container }) => container?.restarts ?? Number.NaN,
    target: "0",
  },
];

const cell = (value: number, digits: number): string => (Number.isNaN(value) ? "-" : value.toFixed(digits));

/** Prints a line for each figure, a column for each fleet, and the targets. */
export function printTable(figures: readonly Figures[]): void {
  const head = ["satellites", ...figures.map(({ satellites }) => satellites.toLocaleString("en")), "target"];
  const lines = figures.some(({ container }) => container !== undefined)
    ? [...LINES, ...CONTAINER_LINES]
    : LINES;
  const rows = lines.map(({ title, value, digits = 0, target = "" }) => [
    title,
    ...figures.map((each) => cell(value(each, figures[0] ?? each), digits)),
    target,
  ]);
  for (const [title = "", ...cells] of [head, ...rows]) {
    console.log(title.padEnd(43), ...cells.map((text) => text.padStart(10)));
  }
}
