import type { Clock } from "../base/clock.ts";
import type { KubeClient } from "../kube/client.ts";
import type { MachineCloud } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Announcement } from "./action.ts";
import { listSatellites } from "./list-satellites.ts";
import type { Tagged } from "./machine-directory.ts";
import type { OperatorMetrics } from "./metrics.ts";
import {
  NO_MEMORY,
  type OrphanFacts,
  type OrphanMemory,
  type OrphanSettings,
  type OrphanStep,
  type OrphanVerdict,
} from "./orphan-rules.ts";

/** What a {@link Collector} takes. */
export interface CollectorOptions {
  readonly client: KubeClient;
  /** UID of the cluster's kube-system namespace. */
  readonly cluster: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: OperatorMetrics;
  readonly settings: OrphanSettings;
  /** Whether this operator judges what is tagged with a namespace; others may share the cluster with it. */
  readonly judges: (namespace: string) => boolean;
  /** Throws when this process may not act (any more). */
  readonly assertLeading: () => void;
  readonly announce: (satellite: Satellite, announcement: Announcement) => void;
}

/** How one sort of things, machines or data volumes, is judged and dealt with. */
export interface CollectorRules<Item, Kind extends string> {
  /** What the log calls such a thing. */
  readonly noun: string;
  readonly judge: (
    facts: OrphanFacts<Item>,
    memory: OrphanMemory,
    settings: OrphanSettings,
  ) => OrphanVerdict<Item, Kind>;
  /** Called after each look with what is suspected. */
  readonly onSuspicions?: (suspicions: OrphanMemory["suspicions"]) => void;
  readonly carryOut: (step: OrphanStep<Item, Kind>, cloud: MachineCloud) => Promise<void>;
  /** How each kind of step is counted, and what the log says of it. */
  readonly steps: Readonly<Record<Kind, { readonly metric: string; readonly message: string }>>;
}

/** A complete list of what the cluster has of one sort, each with the cloud that it lives in. */
export type Listing<Item> = ReadonlyMap<Item, MachineCloud>;

/**
 * Deals with what bears this cluster's tags and no satellite uses. What it suspects by the cache it proves by a live list
 * of satellites.
 */
export class Collector<Item extends Tagged, Kind extends string> {
  readonly #options: CollectorOptions;
  readonly #rules: CollectorRules<Item, Kind>;
  #memory: OrphanMemory = NO_MEMORY;

  constructor(options: CollectorOptions, rules: CollectorRules<Item, Kind>) {
    this.#options = options;
    this.#rules = rules;
  }

  /**
   * Judges one complete list.
   *
   * @param listing read now
   * @param cached the satellites as the cache has them; they only spare the live list where all is well
   * @throws the first refusal of the API server or the cloud, when all steps were tried; the next look goes on from here
   */
  async collect(listing: Listing<Item>, cached: readonly Satellite[]): Promise<void> {
    const suspected = this.#judge(listing, cached);
    const { steps, memory } =
      suspected.steps.length === 0
        ? suspected
        : this.#judge(listing, await listSatellites(this.#options.client));
    this.#memory = memory;
    this.#rules.onSuspicions?.(memory.suspicions);
    const failures: unknown[] = [];
    // One that cannot be dealt with must not keep the others from it.
    for (const step of steps) {
      await this.#carryOut(step, listing.get(step.item)).catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) {
      throw failures[0];
    }
  }

  #judge(listing: Listing<Item>, satellites: readonly Satellite[]): OrphanVerdict<Item, Kind> {
    const { cluster, clock, settings } = this.#options;
    const items = [...listing.keys()].filter((item) => this.#isJudged(item));
    const facts = { cluster, items, satellites, now: clock.now(), nowMs: clock.monotonicMs() };
    return this.#rules.judge(facts, this.#memory, settings);
  }

  async #carryOut(step: OrphanStep<Item, Kind>, cloud: MachineCloud | undefined): Promise<void> {
    const { assertLeading, metrics, logger } = this.#options;
    const { id, tags } = step.item;
    if (cloud === undefined || !this.#isJudged(step.item)) {
      return;
    }
    assertLeading();
    await this.#rules.carryOut(step, cloud);
    const { metric, message } = this.#rules.steps[step.kind];
    metrics.orphanSteps.inc({ step: metric });
    logger.warn(message, {
      [this.#rules.noun]: id,
      namespace: tags[Tag.namespace],
      name: tags[Tag.name],
      uid: tags[Tag.uid],
    });
  }

  #isJudged({ tags }: Item): boolean {
    return this.#options.judges(tags[Tag.namespace] ?? "");
  }
}
