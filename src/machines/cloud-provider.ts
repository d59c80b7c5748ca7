import type { Registry } from "@prometheus-io/client";
import type { Random } from "../base/backoff.ts";
import type { Clock } from "../base/clock.ts";
import type { ProxyRule } from "../base/proxy.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { ClassSpec, MachineCloud } from "./cloud.ts";

/** What a connection to any cloud is made of. */
export interface ConnectionOptions {
  /** The cluster's identity in tags: UID of its kube-system namespace. */
  readonly cluster: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Which proxy a URL is reached through. */
  readonly proxyFor: ProxyRule;
  /** Milliseconds that a change may take if it is sent now; 0 where this process does not lead. */
  readonly changeBudgetMs: () => number;
}

/** One kind of cloud. */
export interface CloudProvider {
  /** Name of its block in `spec` of a SatelliteClass. */
  readonly block: string;
  /** Names the account and region of a class: classes of one place share a connection. */
  placeOf(classSpec: ClassSpec): string;
  /** Connects to the place of a class; nothing is sent yet. */
  connect(classSpec: ClassSpec, options: ConnectionOptions): MachineCloud;
}
