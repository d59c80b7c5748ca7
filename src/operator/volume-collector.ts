import type { MachineCloud, Volume } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";
import { timestamp } from "../satellite/conditions.ts";
import type { Satellite } from "../satellite/types.ts";
import { listSatellites } from "./list-satellites.ts";
import { eachAlone, type OrphanCollectorOptions } from "./orphan-collector.ts";
import {
  judgeOrphanVolumes,
  NO_VOLUME_MEMORY,
  type VolumeMemory,
  type VolumeStep,
} from "./orphan-volumes.ts";

/** A complete list of the cluster's data volumes, each with the cloud that it lives in. */
export type VolumeListing = ReadonlyMap<Volume, MachineCloud>;

/** Tags and then deletes data volumes of this cluster that belong to no satellite (orphan-volumes.ts). */
export class VolumeCollector {
  readonly #options: OrphanCollectorOptions;
  #memory: VolumeMemory = NO_VOLUME_MEMORY;

  constructor(options: OrphanCollectorOptions) {
    this.#options = options;
  }

  /**
   * Judges one complete list. What it suspects by the cache it proves by a live list of satellites.
   *
   * @throws what the API server or the cloud refused; the next list goes on where this one ended
   */
  async collect(listing: VolumeListing, cached: readonly Satellite[]): Promise<void> {
    const suspected = this.#judge(listing, cached);
    if (suspected.steps.length === 0) {
      this.#memory = suspected.memory;
      return;
    }
    const verdict = this.#judge(listing, await listSatellites(this.#options.client));
    this.#memory = verdict.memory;
    await eachAlone(verdict.steps, (step) => this.#carryOut(step, listing.get(step.volume)));
  }

  #judge(listing: VolumeListing, satellites: readonly Satellite[]): ReturnType<typeof judgeOrphanVolumes> {
    const { cluster, clock, settings } = this.#options;
    const facts = {
      cluster,
      volumes: [...listing.keys()],
      satellites,
      now: clock.now(),
      nowMs: clock.monotonicMs(),
    };
    return judgeOrphanVolumes(facts, this.#memory, settings);
  }

  async #carryOut({ kind, volume }: VolumeStep, cloud: MachineCloud | undefined): Promise<void> {
    const { assertLeading, clock, metrics, logger } = this.#options;
    assertLeading();
    switch (kind) {
      case "Mark":
        await cloud?.tag(volume.id, { [Tag.orphanedAt]: timestamp(clock.now()) });
        break;
      case "Unmark":
        await cloud?.tag(volume.id, { [Tag.orphanedAt]: "" });
        break;
      case "Delete":
        await cloud?.deleteVolume(volume.id);
        break;
    }
    metrics.orphanSteps.inc({ step: `${kind}Volume` });
    logger.warn(STEP_MESSAGES[kind], {
      volume: volume.id,
      namespace: volume.tags[Tag.namespace],
      name: volume.tags[Tag.name],
      uid: volume.tags[Tag.uid],
    });
  }
}

const STEP_MESSAGES: Readonly<Record<VolumeStep["kind"], string>> = {
  Mark: "Found a data volume of this cluster that belongs to no satellite; it is deleted after a week",
  Unmark: "A data volume that seemed to belong to nobody is used again",
  Delete: "Deleted a data volume that nobody uses",
};
