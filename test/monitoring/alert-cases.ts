/** What is measured, as promtool writes series ("0+10x5": 0, 10, … 50, a minute each), and what alerts then. */
export interface AlertCase {
  readonly what: string;
  /** Values by series; the labels of the chart's targets are added. */
  readonly series: Readonly<Record<string, string>>;
  /** Minutes at which it does not fire. */
  readonly quiet: readonly number[];
  /** Minutes at which it fires. */
  readonly fires?: readonly number[];
  /** Labels of the alert beside its severity. */
  readonly labels?: Readonly<Record<string, string>>;
}

const LEADER = 'leader_election_master_status{name="satellites-operator",pod="a"}';
const FOLLOWER = 'leader_election_master_status{name="satellites-operator",pod="b"}';
const wakes = (le: string): string => `satellites_router_wake_seconds_bucket{le="${le}"}`;
const LONGEST = 'satellites_longest_awake_seconds{satellite_namespace="team-a",class="default"}';
const DAY = 86_400;

/** For each alert: when it must fire and when it must not. */
export const ALERT_CASES: Readonly<Record<string, readonly AlertCase[]>> = {
  SatellitesNoLeader: [
    {
      what: "the leader stops, and nobody follows",
      series: { [LEADER]: "1x9 0x20", [FOLLOWER]: "0x30" },
      quiet: [9, 11],
      fires: [12, 30],
    },
    {
      what: "both operators are gone",
      series: { [LEADER]: "1x9 stale", [FOLLOWER]: "0x9 stale" },
      quiet: [9, 11],
      fires: [12, 30],
    },
    {
      what: "another one takes over",
      series: { [LEADER]: "1x9 0x20", [FOLLOWER]: "0x10 1x20" },
      quiet: [9, 11, 12, 30],
    },
    {
      what: "only an operator of another installation leads",
      series: { 'leader_election_master_status{name="satellites-operator",namespace="other"}': "1x30" },
      quiet: [1],
      fires: [2, 30],
    },
  ],
  SatellitesFailed: [
    {
      what: "one satellite has failed, as both operators say",
      series: {
        'satellites_phase{phase="Failed",pod="a"}': "_x4 1x30",
        'satellites_phase{phase="Failed",pod="b"}': "_x4 1x30",
      },
      quiet: [4, 13],
      fires: [15, 30],
    },
    {
      what: "one is mended before ten minutes are over",
      series: { 'satellites_phase{phase="Failed",pod="a"}': "1x9 stale" },
      quiet: [5, 10, 30],
    },
    { what: "all sleep", series: { 'satellites_phase{phase="Asleep",pod="a"}': "7x30" }, quiet: [30] },
  ],
  SatellitesEC2Errors: [
    {
      what: "EC2 refuses twelve calls a minute",
      series: {
        'satellites_ec2_calls_total{action="RunInstances",outcome="UnauthorizedOperation"}': "0+12x60",
      },
      quiet: [10],
      fires: [30, 60],
      labels: { action: "RunInstances", outcome: "UnauthorizedOperation" },
    },
    {
      what: "it refuses four a minute",
      series: {
        'satellites_ec2_calls_total{action="RunInstances",outcome="RequestLimitExceeded"}': "0+4x60",
      },
      quiet: [30, 60],
    },
    {
      what: "it grants many",
      series: { 'satellites_ec2_calls_total{action="RunInstances",outcome="ok"}': "0+600x60" },
      quiet: [30, 60],
    },
  ],
  SatellitesSlowWakes: [
    {
      what: "every fifth wake takes between two and five minutes",
      series: { [wakes("120")]: "0+8x90", [wakes("300")]: "0+10x90", [wakes("+Inf")]: "0+10x90" },
      quiet: [10],
      fires: [30, 90],
    },
    {
      what: "every twentieth does",
      series: { [wakes("120")]: "0+95x90", [wakes("300")]: "0+100x90", [wakes("+Inf")]: "0+100x90" },
      quiet: [30, 90],
    },
    {
      what: "nobody wakes anything",
      series: { [wakes("120")]: "8x90", [wakes("300")]: "10x90", [wakes("+Inf")]: "10x90" },
      quiet: [30, 90],
    },
  ],
  SatellitesLeaseWritesFail: [
    {
      what: "a write fails every minute",
      series: { 'satellites_router_lease_writes_total{result="failed"}': "0x5 1+1x40" },
      quiet: [5, 14],
      fires: [18, 40],
    },
    {
      what: "one fails, once",
      series: { 'satellites_router_lease_writes_total{result="failed"}': "0x5 1x60" },
      quiet: [6, 10, 14, 30, 60],
    },
    {
      what: "the API server refuses those that come too late, as it does every day",
      series: { 'satellites_router_lease_writes_total{result="refused"}': "0+5x60" },
      quiet: [30, 60],
    },
  ],
  SatellitesReconcileErrors: [
    {
      what: "sixty reconciliations a minute fail",
      series: { 'controller_runtime_reconcile_errors_total{controller="satellite"}': "0+60x60" },
      quiet: [10],
      fires: [30, 60],
    },
    {
      what: "twenty a minute do",
      series: { 'controller_runtime_reconcile_errors_total{controller="satellite"}': "0+20x60" },
      quiet: [30, 60],
    },
  ],
  SatellitesNeverSlept: [
    {
      what: "one has been awake for seven days and goes on",
      series: { [LONGEST]: `${7 * DAY - 600}+60x180` },
      quiet: [10, 69],
      fires: [71, 180],
      labels: { satellite_namespace: "team-a", class: "default" },
    },
    {
      what: "it falls asleep within the hour",
      series: { [LONGEST]: `${7 * DAY - 600}+60x50 0x100` },
      quiet: [10, 50, 75, 150],
    },
  ],
};
