import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Clock ticks in a second, as /proc counts CPU time (Linux `getconf CLK_TCK`). */
const TICKS_PER_SECOND = 100;

/** What a process has used so far. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly rssMiB: number;
  readonly peakRssMiB: number;
}

/** The fields of /proc/PID/stat behind the program's name, which is in parentheses and may hold spaces (proc_pid_stat(5)). */
function stat(pid: number): string[] {
  return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
}

/** @param pid as this process's namespace counts */
export function usageOf(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kib = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
  // utime and stime are fields 14 and 15.
  const fields = stat(pid);
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    rssMiB: kib("VmRSS") / 1024,
    peakRssMiB: kib("VmHWM") / 1024,
  };
}

/** When a process was started, in milliseconds of `performance.now()`. */
export function startedAtMs(pid: number): number {
  const uptimeSeconds = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
  // starttime, field 22, is in ticks since the machine's start.
  const startSeconds = Number(stat(pid)[19]) / TICKS_PER_SECOND;
  return performance.now() - (uptimeSeconds - startSeconds) * 1000;
}

/** What became of a container's limits. */
export interface ContainerUsage {
  readonly memoryLimitMiB: number;
  /** With the page cache, as the limit counts. */
  readonly memoryMiB: number;
  readonly peakMemoryMiB: number;
  readonly oomKills: number;
  /** Periods in which it got less of the processors than it wanted because of a limit; none without one. */
  readonly throttledPeriods: number;
  /** How often the container was started again. */
  readonly restarts: number;
}

/** Reads the control groups that a process is in (cgroup v1: memory.rst; sched-bwc.rst). */
export function containerUsageOf(pid: number): Omit<ContainerUsage, "restarts"> {
  const groups = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  const read = (controller: string, file: string): string => {
    const [, path = ""] =
      new RegExp(`^\\d+:(?:\\w+,)*${controller}(?:,\\w+)*:(/.+)$`, "m").exec(groups) ?? [];
    return readFileSync(join("/sys/fs/cgroup", controller, path, file), "utf8");
  };
  const mebibytes = (file: string): number => Number(read("memory", file)) / 2 ** 20;
  const count = (text: string, name: string): number =>
    Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1]);
  return {
    memoryLimitMiB: mebibytes("memory.limit_in_bytes"),
    memoryMiB: mebibytes("memory.usage_in_bytes"),
    peakMemoryMiB: mebibytes("memory.max_usage_in_bytes"),
    oomKills: count(read("memory", "memory.oom_control"), "oom_kill"),
    throttledPeriods: count(read("cpu", "cpu.stat"), "nr_throttled"),
  };
}
