import type { GuestShell } from "./guest-shell.ts";

const BUILDS = "/sys/fs/cgroup/buildkit.slice/buildkit-builds.slice";
const SLICE = "/sys/fs/cgroup/buildkit.slice";
const DAEMON = `${SLICE}/buildkit.service`;
const SAMPLES = "/run/satellites-samples";

/** What the VM's kernel has counted since its boot. */
const COUNTERS = {
  throttled: `awk '/^nr_throttled / { print $2 }' ${BUILDS}/cpu.stat`,
  oomKills: `awk '/^oom_kill / { print $2 }' ${BUILDS}/memory.events`,
  // Pages of its code, mostly, that it had to read from the disk again.
  daemonRefaults: `awk '/^workingset_refault_file / { print $2 }' ${DAEMON}/memory.stat`,
  // Linux before 6.11 counts refusals in the group of whoever forks, which goes with its container; the log keeps the first of each.
  refusedForks: "dmesg | grep -c 'fork rejected by pids controller in /buildkit.slice/buildkit-builds.slice'",
} as const;

/** What a look into the VM finds each second; MiB, except for processes. */
const GAUGES = {
  available: "awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo",
  cached: "awk '/^Cached:/ { print int($2 / 1024) }' /proc/meminfo",
  builds: `echo $(( $(cat ${BUILDS}/memory.current) >> 20 ))`,
  daemon: `echo $(( $(cat ${DAEMON}/memory.current) >> 20 ))`,
  processes: `cat ${BUILDS}/pids.current`,
  free: "df --output=avail --block-size=1M / | tail -n 1",
  usedInodes: "df --output=iused / | tail -n 1",
} as const;

type Counter = keyof typeof COUNTERS;
type Gauge = keyof typeof GAUGES;

/** What was seen inside the VM while something went on. */
export interface Seen {
  /** How much each counter grew. */
  readonly grown: Readonly<Record<Counter, number>>;
  readonly least: Readonly<Record<Gauge, number>>;
  readonly most: Readonly<Record<Gauge, number>>;
  /** The last look, after it was over. */
  readonly now: Readonly<Record<Gauge, number>>;
}

/** Prints numbers on one line, in the order of the commands' names. */
function oneLine(commands: Readonly<Record<string, string>>): string {
  return `echo ${Object.values(commands)
    .map((command) => `$(${command})`)
    .join(" ")}`;
}

function named<Name extends string>(
  commands: Readonly<Record<Name, string>>,
  line: string,
): Record<Name, number> {
  const numbers = line.trim().split(/\s+/).map(Number);
  const names = Object.keys(commands) as Name[];
  if (numbers.length !== names.length || numbers.some(Number.isNaN)) {
    throw new Error(`a look into the VM found "${line}" instead of ${names.join(", ")}`);
  }
  return Object.fromEntries(names.map((name, index) => [name, numbers[index]])) as Record<Name, number>;
}

/** Looks at the VM's gauges each second, from within, until `work` is done. */
export async function seenInside<T>(
  shell: GuestShell,
  work: () => Promise<T>,
): Promise<{ readonly result: T; readonly seen: Seen }> {
  const count = async (): Promise<Record<Counter, number>> =>
    named(COUNTERS, await shell.run(oneLine(COUNTERS)));
  const look = oneLine(GAUGES);
  const before = await count();
  await shell.run(`rm -f ${SAMPLES}.end; (until test -e ${SAMPLES}.end; do ${look}; sleep 1; done) \\
    >${SAMPLES} 2>/dev/null </dev/null & true`);
  try {
    const result = await work();
    const now = named(GAUGES, await shell.run(look));
    const samples = [...(await shell.run(`cat ${SAMPLES}`)).split("\n"), Object.values(now).join(" ")];
    const looks = samples.filter((line) => line !== "").map((line) => named(GAUGES, line));
    const after = await count();
    const over = (choose: (...values: number[]) => number): Record<Gauge, number> =>
      Object.fromEntries(
        (Object.keys(GAUGES) as Gauge[]).map((name) => [name, choose(...looks.map((one) => one[name]))]),
      ) as Record<Gauge, number>;
    const grown = Object.fromEntries(
      (Object.keys(COUNTERS) as Counter[]).map((name) => [name, after[name] - before[name]]),
    ) as Record<Counter, number>;
    return { result, seen: { grown, least: over(Math.min), most: over(Math.max), now } };
  } finally {
    await shell.run(`touch ${SAMPLES}.end`);
  }
}

/** The same in one line for people. */
export function describeSeen({ grown, least, most, now }: Seen): string {
  return [
    `memory of builds up to ${most.builds} MiB, available at least ${least.available} MiB`,
    `the daemon's at least ${least.daemon} MiB, ${grown.daemonRefaults} pages of it read again`,
    `page cache up to ${most.cached} MiB`,
    `disk free at least ${least.free}, then ${now.free} MiB`,
    `${most.usedInodes - least.usedInodes} files made`,
    `processes of builds up to ${most.processes}`,
    `${grown.oomKills} killed for memory, ${grown.refusedForks} containers refused a fork, throttled ${grown.throttled} times`,
  ].join("; ");
}
