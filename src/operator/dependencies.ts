import type { Random } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { Turns } from "../base/turns.ts";
import type { KubeClient } from "../kube/client.ts";
import type { MachineCloud } from "../machines/cloud.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Announcement } from "./action.ts";
import type { AwakeQuota } from "./awake-quota.ts";
import type { BuildkitFacts } from "./buildkit-facts.ts";
import type { HostEvents } from "./host-events.ts";
import type { IdleTracker } from "./idle.ts";
import type { MachineDirectory } from "./machine-directory.ts";
import type { OperatorMetrics } from "./metrics.ts";
import type { ProbeQuestion } from "./probe-target.ts";
import type { OperatorSettings } from "./settings.ts";

/** What a probe of a VM's port answers. */
export interface ProbeAnswer {
  /** Whether the gRPC port answered. */
  readonly ready: boolean;
  readonly bootID?: string;
  /** Work that the guest says is running; 0 where the guest has no agent. */
  readonly runningWork: number;
  /** Fingerprint of the key that it showed, where TLS was asked for. */
  readonly shown?: string;
  /** Why TLS failed, although the port answered. */
  readonly notTls?: string;
  readonly buildkit?: BuildkitFacts;
}

/** Everything that a step may touch. */
export interface Dependencies {
  /** The cluster's identity in tags: UID of its kube-system namespace. */
  readonly cluster: string;
  readonly client: KubeClient;
  /** The satellites as last seen, own writes included. */
  readonly satellites: {
    get(key: string): Satellite | undefined;
    list(): Satellite[];
    upsert(satellite: Satellite): unknown;
  };
  /** Limits how many writes to the API server run at once, so that their time-out is not spent on waiting for a connection. */
  readonly writes: Turns;
  readonly classes: { get(name: string): SatelliteClass | undefined };
  /** The account and region that a class's machines live in. */
  readonly cloudOf: (satelliteClass: SatelliteClass) => MachineCloud;
  readonly directory: MachineDirectory;
  readonly hostEvents: HostEvents;
  /** Fills the directory from one complete list; calls made together share it. */
  readonly listMachines: () => Promise<void>;
  readonly idle: IdleTracker;
  readonly quota: AwakeQuota;
  readonly probe: (question: ProbeQuestion) => Promise<ProbeAnswer>;
  /** User data for a class's guest, serving on the satellite's port. */
  readonly userDataFor: (satelliteClass: SatelliteClass, satellite: Satellite) => Promise<string>;
  /** Whether this operator acts on the satellite; others may share the cluster with it. */
  readonly owns: (satellite: Satellite) => boolean;
  /**
   * Throws when this process may not act on the satellite (any more): it is not the leader, or not for long enough, or the
   * satellite is another operator's.
   */
  readonly assertMayAct: (satellite: Satellite) => void;
  readonly announce: (satellite: Satellite, announcement: Announcement) => void;
  readonly metrics: OperatorMetrics;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly settings: OperatorSettings;
}
