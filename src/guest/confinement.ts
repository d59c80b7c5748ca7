import { mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

import { SatelliteError, toError } from "../base/errors.ts";

/** Confines one command; made before the command runs its first instruction. */
export interface Cell {
  /** Kills every process of the command, also those that left its process group. */
  killAll(): void;
  /** Removes what confined the command; to be called when its main process has ended. */
  close(): void;
}

/** Confines commands. */
export interface Confinement {
  /** @param pid a process that waits and has started nothing yet */
  confine(pid: number): Cell;
}

/** What all commands together may use, so that the service can always answer health checks. */
export interface CommandLimits {
  /** Share of all CPUs, 0 to 1. */
  readonly cpuShare: number;
  /** Bytes of memory. */
  readonly memoryBytes: number;
  /** Processes and threads. */
  readonly maxProcesses: number;
}

/** Commands are killed before the service when memory runs out (proc(5), oom_score_adj: -1000 to 1000). */
const COMMAND_OOM_SCORE = 500;
const SERVICE_OOM_SCORE = -900;
const CPU_PERIOD_US = 100_000;

/** Makes the service the last process that the kernel kills for memory. Needs root. */
export function protectService(): void {
  writeFileSync("/proc/self/oom_score_adj", String(SERVICE_OOM_SCORE));
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (thrown) {
    // ESRCH: every process of the group has ended already.
    if ((toError(thrown) as NodeJS.ErrnoException).code !== "ESRCH") {
      throw thrown;
    }
  }
}

/**
 * Confinement by process group and OOM score alone: all that an unprivileged process can do. Used where the
 * service does not run as root, and below {@link cgroupConfinement}.
 */
export const processGroupConfinement: Confinement = {
  confine(pid) {
    writeFileSync(`/proc/${pid}/oom_score_adj`, String(COMMAND_OOM_SCORE));
    return { killAll: () => killGroup(pid), close: () => {} };
  },
};

/**
 * Confinement by control groups, version 2 (Documentation/admin-guide/cgroup-v2.rst in the kernel): one group
 * `work` carries the limits, one child of it holds each command.
 *
 * @param root where cgroup2 is mounted; the service's process stays in the root group, outside the limits
 * @throws SatelliteError `CgroupUnavailable` when the controllers cannot be switched on
 */
export function cgroupConfinement(root: string, limits: CommandLimits): Confinement {
  const work = join(root, "work");
  const quotaUs = Math.round(CPU_PERIOD_US * availableParallelism() * limits.cpuShare);
  try {
    writeFileSync(join(root, "cgroup.subtree_control"), "+cpu +memory +pids");
    mkdirSync(work, { recursive: true });
    writeFileSync(join(work, "cpu.max"), `${quotaUs} ${CPU_PERIOD_US}`);
    writeFileSync(join(work, "memory.max"), String(limits.memoryBytes));
    writeFileSync(join(work, "pids.max"), String(limits.maxProcesses));
  } catch (thrown) {
    throw new SatelliteError(
      "CgroupUnavailable",
      `commands cannot be limited: mount cgroup2 at ${root} with the cpu, memory and pids controllers`,
      { cause: thrown },
    );
  }
  return {
    confine(pid) {
      const inner = processGroupConfinement.confine(pid);
      const group = join(work, `command-${pid}`);
      mkdirSync(group, { recursive: true });
      writeFileSync(join(group, "cgroup.procs"), String(pid));
      return {
        killAll() {
          inner.killAll();
          writeFileSync(join(group, "cgroup.kill"), "1");
        },
        close: () => removeGroup(group),
      };
    },
  };
}

/** Removes an empty group; one that still holds dying processes stays until the next boot. */
function removeGroup(group: string): void {
  try {
    rmdirSync(group);
  } catch (thrown) {
    if ((toError(thrown) as NodeJS.ErrnoException).code !== "EBUSY") {
      throw thrown;
    }
  }
}
