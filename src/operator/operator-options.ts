import type { Random } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { KubeClient } from "../kube/client.ts";
import type { LeaderElectionOptions } from "../kube/leader-election.ts";
import type { KubeMetrics } from "../kube/metrics.ts";
import type { MachineCloud } from "../machines/cloud.ts";
import type { Phase } from "../satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { ProbeAnswer } from "./dependencies.ts";
import type { OperatorMetrics } from "./metrics.ts";
import type { ProbeQuestion } from "./probe-target.ts";
import type { OperatorSettings } from "./settings.ts";
import type { UsageMeter, WatchedCaches } from "./usage-meter.ts";

/** What an Operator takes. */
export interface OperatorOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly kubeMetrics: KubeMetrics;
  /** Creates the operator's instruments, given the phase of every known satellite. */
  readonly metrics: (phases: () => Iterable<Phase>) => OperatorMetrics;
  /** Counts what satellites do and cost while this process leads; nothing is counted when absent. */
  readonly usage?: UsageMeter;
  /** Told the caches once, by somebody who watches them too. */
  readonly watchedBy?: (caches: WatchedCaches) => void;
  readonly settings: OperatorSettings;
  /** The cluster's identity in tags: UID of its kube-system namespace. */
  readonly cluster: string;
  /** Most satellites that are worked on at the same time; each may wait for a shared call to the cloud. */
  readonly concurrency: number;
  /** Between complete lists of the cluster's machines, in milliseconds. */
  readonly listPeriodMs: number;
  /**
   * Label selector of the Namespaces whose satellites this operator acts on, where several share a cluster (shard.ts); all when
   * absent.
   */
  readonly namespaceSelector?: string;
  readonly leaderElection: Pick<
    LeaderElectionOptions,
    "namespace" | "name" | "identity" | "leaseDurationMs" | "renewDeadlineMs" | "retryPeriodMs" | "owner"
  >;
  /**
   * Milliseconds of the lease that must be left for a side effect to be sent: longer than the longest call
   * (docs/power-protocol.md, "Operator").
   */
  readonly leaderMarginMs: number;
  /** The account and region that a class's machines live in; the same object for the same place. */
  readonly cloudOf: (satelliteClass: SatelliteClass) => MachineCloud;
  readonly probe: (question: ProbeQuestion) => Promise<ProbeAnswer>;
  readonly userDataFor: (satelliteClass: SatelliteClass, satellite: Satellite) => Promise<string>;
}
