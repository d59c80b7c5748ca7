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
    readonly startInstancesCalls: number;
    readonly ec2Calls: Readonly<Record<string, number>>;
    readonly throttledCalls: number;
    readonly apiRequestsPerSatellite: number;
    readonly cpuMsPerSatellite: number;
    readonly peakRssMiB: number;
  };
}
