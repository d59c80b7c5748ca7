import type { Volume } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";
import type { Satellite } from "../satellite/types.ts";
import {
  lately,
  limited,
  markedAt,
  suspicionsOf,
  type OrphanFacts,
  type OrphanMemory,
  type OrphanSettings,
  type OrphanStep,
  type OrphanVerdict,
} from "./orphan-rules.ts";

/** What may be done to a data volume: it is tagged, untagged where it is used again, or deleted. */
export type VolumeStepKind = "Mark" | "Unmark" | "Delete";

/**
 * Finds data volumes that no satellite uses, by the rules for machines (orphans.ts): only those with this cluster's tag
 * and a satellite's UID; none while a list is empty; `orphanWindowMs` in every list before they are tagged, and
 * `orphanKeptMs` after that before they are deleted, and only while they are attached to nothing; never more than
 * `orphanShare` of them within `orphanWindowMs`.
 */
export function judgeOrphanVolumes(
  { cluster, items, satellites, now, nowMs }: OrphanFacts<Volume>,
  memory: OrphanMemory,
  settings: OrphanSettings,
): OrphanVerdict<Volume, VolumeStepKind> {
  const ours = items.filter(
    ({ tags, state }) => tags[Tag.cluster] === cluster && (tags[Tag.uid] ?? "") !== "" && state !== "deleted",
  );
  if (ours.length === 0 || satellites.length === 0) {
    return { steps: [], memory: { ...memory, suspicions: new Map() } };
  }
  const isUsed = usersOf(satellites);
  const graceMs = settings.orphanWindowMs;
  const suspectOf = (volume: Volume): { evidence: string; graceMs: number } | undefined =>
    isUsed(volume) ? undefined : { evidence: "unused", graceMs };
  const { suspicions, due } = suspicionsOf(ours, suspectOf, memory, nowMs);
  const touched = lately(memory.touched, nowMs - settings.orphanWindowMs);
  const most = Math.max(1, Math.floor(ours.length * settings.orphanShare));
  const steps = [
    ...ours
      .filter((volume) => isUsed(volume) && markedAt(volume) !== undefined)
      .map((item) => ({ kind: "Unmark", item }) as const),
    ...limited(
      due.map(({ item }) => stepsFor(item, now, settings)),
      touched,
      most,
      nowMs,
    ),
  ];
  return { steps, memory: { ...memory, suspicions, touched } };
}

function stepsFor(
  volume: Volume,
  now: Date,
  { orphanKeptMs }: OrphanSettings,
): OrphanStep<Volume, VolumeStepKind>[] {
  const marked = markedAt(volume);
  if (marked === undefined) {
    return [{ kind: "Mark", item: volume }];
  }
  const isDue = volume.state === "available" && now.getTime() - marked >= orphanKeptMs;
  return isDue ? [{ kind: "Delete", item: volume }] : [];
}

/** Whether a volume is somebody's, or may become so. */
function usersOf(satellites: readonly Satellite[]): (volume: Volume) => boolean {
  const used = new Set(satellites.map(({ status }) => status.volume?.id));
  const byUid = new Map(satellites.map((satellite) => [satellite.metadata.uid, satellite]));
  const byName = new Map(
    satellites.map((satellite) => [`${satellite.metadata.namespace}/${satellite.metadata.name}`, satellite]),
  );
  return ({ id, tags }) => {
    const satellite = byUid.get(tags[Tag.uid]);
    const namesake = byName.get(`${tags[Tag.namespace]}/${tags[Tag.name]}`);
    // Its ID is about to be written; or the satellite was restored from a backup, and takes its machine up again.
    const maySoonBe =
      (satellite !== undefined && satellite.status.volume?.id === undefined) ||
      (satellite === undefined && namesake !== undefined && namesake.status.machine === undefined);
    return used.has(id) || maySoonBe;
  };
}
