import type { ContainerUsage } from "./process-usage.ts";

/** Figures of one fleet. */
export interface Figures {
  readonly satellites: number;
  /** From the start of the process to filled caches. */
  readonly syncedSeconds: number;
  /** From the start of the process until every satellite was reconciled once. */
  readonly reconciledSeconds: number;
  readonly reconcilesPerSecond: number;
  /** CPU time of the start, for each satellite. */
  readonly startCpuMsPerSatellite: number;
  readonly peakRssMiB: number;
  readonly rest: {
    readonly rssMiB: number;
    readonly cpuPercent: number;
    readonly apiRequestsPerMinute: number;
    readonly ec2CallsPerMinute: number;
  };
  readonly wake: {
    readonly satellites: number;
    /** From the first wish to the last satellite that runs, of which 17 s are EC2's. */
    readonly seconds: number;
    /** Share of the machine that was in use meanwhile, by API server, etcd, endpoint, VMs and operator. */
    readonly machineBusyPercent: number;
    /** Seconds from the first wish until all were written, and until EC2 accepted the last StartInstances. */
    readonly wishedSeconds: number;
    readonly startedSeconds: number;
    /** CPU time meanwhile; `bench` writes the wishes, and is EC2 and the VMs. */
    readonly cpuSeconds: Readonly<Record<"operator" | "apiServer" | "etcd" | "bench", number>>;
    /** Mean of a write of the operator, from its being sent to the head of its answer. */
    readonly writeMs: number;
    /** Mean time that a satellite waited for one of the operator's workers. */
    readonly queueMs: number;
    readonly startInstancesCalls: number;
    readonly ec2Calls: Readonly<Record<string, number>>;
    readonly throttledCalls: number;
    readonly apiRequestsPerSatellite: number;
    readonly cpuMsPerSatellite: number;
    readonly peakRssMiB: number;
  };
  /** Of the container, after the wakes; absent where the operator is in none. */
  readonly container?: ContainerUsage;
}
