/** What `satellites demo` measured; written as JSON. */
export interface DemoReport {
  /** From `kubectl apply` to the first answer of a command that ran in the new VM. */
  readonly coldStartSeconds: number;
  /** Median of a unary call through the router to a satellite that is awake. */
  readonly warmCallMs: number;
  /** From the written intent to stop until the satellite is asleep with its memory on disk. */
  readonly hibernateSeconds: number;
  /** From a request to its answer when the satellite hibernated. */
  readonly wakeFromHibernateSeconds: number;
  readonly sameBootID: boolean;
  /** Whether a counter in the guest's memory kept its value. */
  readonly memoryKept: boolean;
  /** From a request to its answer when the satellite was stopped. */
  readonly wakeFromStopSeconds: number;
  readonly concurrentRequests: number;
  /** StartInstances calls in the EC2 endpoint's own log that the concurrent requests caused. */
  readonly startInstancesCalls: number;
  /** Instances that are not terminated after `kubectl delete`. */
  readonly instancesLeft: number;
}

/** The figures as a table for a terminal. */
export function reportTable(report: DemoReport): string {
  const seconds = (value: number): string => `${value.toFixed(2)} s`;
  const rows: readonly (readonly [string, string])[] = [
    ["cold start (kubectl apply to first answer)", seconds(report.coldStartSeconds)],
    ["warm call (median)", `${report.warmCallMs.toFixed(2)} ms`],
    ["hibernate", seconds(report.hibernateSeconds)],
    ["wake from hibernation (request to answer)", seconds(report.wakeFromHibernateSeconds)],
    ["same boot ID, memory kept", `${yesNo(report.sameBootID)}, ${yesNo(report.memoryKept)}`],
    ["wake from stop (request to answer)", seconds(report.wakeFromStopSeconds)],
    [
      "concurrent requests → StartInstances calls",
      `${report.concurrentRequests} → ${report.startInstancesCalls}`,
    ],
    ["instances left after delete", String(report.instancesLeft)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const valueWidth = Math.max(...rows.map(([, value]) => value.length));
  const line = `+-${"-".repeat(width)}-+-${"-".repeat(valueWidth)}-+`;
  const body = rows.map(([name, value]) => `| ${name.padEnd(width)} | ${value.padStart(valueWidth)} |`);
  return ["", line, ...body, line].join("\n");
}

function yesNo(value: boolean): string {
  return value ? "yes" : "no";
}
