import type { Clock } from "../base/clock.ts";
import type { KubeClient } from "../kube/client.ts";
import type { Machine, MachineCloud } from "../machines/cloud.ts";
import { CloudError } from "../machines/errors.ts";
import { Tag } from "../machines/tags.ts";
import { timestamp } from "../satellite/conditions.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Announcement } from "./action.ts";
import { listSatellites } from "./list-satellites.ts";
import type { OperatorMetrics } from "./metrics.ts";
import {
  judgeOrphans,
  NO_MEMORY,
  type OrphanMemory,
  type OrphanSettings,
  type OrphanStep,
} from "./orphans.ts";

/** A complete list of the cluster's machines, each with the cloud that it lives in. */
export type MachineListing = ReadonlyMap<Machine, MachineCloud>;

/** What an {@link OrphanCollector} takes. */
export interface OrphanCollectorOptions {
  readonly client: KubeClient;
  /** UID of the cluster's kube-system namespace. */
  readonly cluster: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: OperatorMetrics;
  readonly settings: OrphanSettings;
  /** Throws when this process may not act (any more). */
  readonly assertLeading: () => void;
  readonly announce: (satellite: Satellite, announcement: Announcement) => void;
}

/**
 * Keeps aside, and at last terminates, machines of this cluster that no satellite names (orphans.ts). It is called with
 * every complete list of machines; what it suspects by the cache it proves by a live list of satellites.
 */
export class OrphanCollector {
  readonly #options: OrphanCollectorOptions;
  #memory: OrphanMemory = NO_MEMORY;

  constructor(options: OrphanCollectorOptions) {
    this.#options = options;
  }

  /**
   * Judges one complete list.
   *
   * @param listing read now
   * @param cached the satellites as the cache has them; they only spare the live list where all is well
   * @throws what the API server or the cloud refused; the next list goes on where this one ended
   */
  async collect(listing: MachineListing, cached: readonly Satellite[]): Promise<void> {
    const { metrics } = this.#options;
    const suspected = this.#judge(listing, cached);
    if (suspected.steps.length === 0) {
      this.#memory = suspected.memory;
      metrics.orphans.set(suspected.memory.suspicions.size);
      return;
    }
    const verdict = this.#judge(listing, await listSatellites(this.#options.client));
    this.#memory = verdict.memory;
    metrics.orphans.set(verdict.memory.suspicions.size);
    await eachAlone(verdict.steps, (step) => this.#carryOut(step, listing));
  }

  #judge(listing: MachineListing, satellites: readonly Satellite[]): ReturnType<typeof judgeOrphans> {
    const { cluster, clock, settings } = this.#options;
    const facts = {
      cluster,
      machines: [...listing.keys()],
      satellites,
      now: clock.now(),
      nowMs: clock.monotonicMs(),
    };
    return judgeOrphans(facts, this.#memory, settings);
  }

  async #carryOut(step: OrphanStep, listing: MachineListing): Promise<void> {
    const { assertLeading, clock, metrics, logger } = this.#options;
    const { machine } = step;
    const cloud = listing.get(machine);
    if (cloud === undefined) {
      return;
    }
    assertLeading();
    switch (step.kind) {
      case "Mark":
        await cloud.tag(machine.id, { [Tag.orphanedAt]: timestamp(clock.now()) });
        this.#announce(step, "MachineKeptAside", keptAsideMessage(machine.id, this.#options.settings));
        break;
      case "Unmark":
        await cloud.tag(machine.id, { [Tag.orphanedAt]: "" });
        break;
      case "Stop":
        await stopKeepingMemory(machine, cloud);
        break;
      case "Terminate":
        await cloud.terminate(machine.id);
        this.#announce(
          step,
          "MachineKeptAsideEnded",
          `terminated ${machine.id}, which nobody took back in time`,
        );
        break;
    }
    metrics.orphanSteps.inc({ step: step.kind });
    logger.warn(STEP_MESSAGES[step.kind], {
      machine: machine.id,
      namespace: machine.tags[Tag.namespace],
      name: machine.tags[Tag.name],
      uid: machine.tags[Tag.uid],
    });
  }

  #announce({ satellite }: OrphanStep, reason: string, message: string): void {
    if (satellite !== undefined) {
      this.#options.announce(satellite, { type: "Warning", reason, message });
    }
  }
}

/** Says on the satellite what became of a machine of its, and what to do. */
export function keptAsideMessage(id: string, { orphanKeptMs }: Pick<OrphanSettings, "orphanKeptMs">): string {
  return (
    `${id} bears this satellite's tags beside the machine that it uses now: it may have served it before. It is stopped, ` +
    `and terminated ${Math.round(orphanKeptMs / 86_400_000)} days after it was found; docs/operations.md, "Machines that are kept ` +
    'aside", says how to take it back'
  );
}

/** Stops a machine that may have served somebody; its memory is kept where EC2 can. */
async function stopKeepingMemory(machine: Machine, cloud: MachineCloud): Promise<void> {
  if (machine.hibernationConfigured) {
    try {
      await cloud.stop(machine.id, { hibernate: true, force: false });
      return;
    } catch (error) {
      if (!(error instanceof CloudError) || !error.class.startsWith("hibernation")) {
        throw error;
      }
    }
  }
  await cloud.stop(machine.id, { hibernate: false, force: false });
}

/**
 * Carries out each step, whatever became of the others: one machine that cannot be stopped must not shield the rest.
 *
 * @throws the first failure, when all were tried
 */
export async function eachAlone<T>(steps: readonly T[], carryOut: (step: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    await carryOut(step).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) {
    throw failures[0];
  }
}

const STEP_MESSAGES: Readonly<Record<OrphanStep["kind"], string>> = {
  Mark: "Found a machine of this cluster that no satellite names; it is kept aside, stopped, and terminated after a week",
  Stop: "Stopped a machine that no satellite names",
  Terminate: "Terminated a machine that no satellite has named for a week",
  Unmark: "A machine that seemed to belong to nobody is used again",
};
