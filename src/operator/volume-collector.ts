import type { MachineCloud, Volume } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";
import { timestamp } from "../satellite/conditions.ts";
import { Collector, type CollectorOptions } from "./collector.ts";
import type { OrphanStep } from "./orphan-rules.ts";
import { judgeOrphanVolumes, type VolumeStepKind } from "./orphan-volumes.ts";

/** Tags, and later deletes, data volumes of this cluster that belong to no satellite (orphan-volumes.ts). */
export type VolumeCollector = Collector<Volume, VolumeStepKind>;

/** Creates the collector of data volumes. */
export function volumeCollector(options: CollectorOptions): VolumeCollector {
  const { clock } = options;
  return new Collector(options, {
    noun: "volume",
    judge: judgeOrphanVolumes,
    async carryOut({ kind, item: { id } }: OrphanStep<Volume, VolumeStepKind>, cloud: MachineCloud) {
      switch (kind) {
        case "Mark":
          await cloud.tag(id, { [Tag.orphanedAt]: timestamp(clock.now()) });
          return;
        case "Unmark":
          await cloud.tag(id, { [Tag.orphanedAt]: "" });
          return;
        case "Delete":
          await cloud.deleteVolume(id);
          return;
      }
    },
    steps: {
      Mark: {
        metric: "MarkVolume",
        message:
          "Found a data volume of this cluster that belongs to no satellite; it is deleted after a week",
      },
      Unmark: {
        metric: "UnmarkVolume",
        message: "A data volume that seemed to belong to nobody is used again",
      },
      Delete: { metric: "DeleteVolume", message: "Deleted a data volume that nobody uses" },
    },
  });
}
