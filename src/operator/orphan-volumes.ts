import type { Volume } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";
import type { Satellite } from "../satellite/types.ts";
import { lately, type OrphanSettings } from "./orphans.ts";

/** Two complete lists, the satellites read after the volumes. */
export interface VolumeFacts {
  /** UID of the cluster's kube-system namespace. */
  readonly cluster: string;
  readonly volumes: readonly Volume[];
  readonly satellites: readonly Satellite[];
  readonly now: Date;
  /** Monotonic clock. */
  readonly nowMs: number;
}

/** What is remembered between two looks: since when every list has shown a volume as nobody's, and what was touched. */
export interface VolumeMemory {
  readonly since: ReadonlyMap<string, number>;
  readonly touched: ReadonlyMap<string, number>;
}

/** One thing to do to one volume. */
export interface VolumeStep {
  readonly kind: "Mark" | "Unmark" | "Delete";
  readonly volume: Volume;
}

/** Before the first look. */
export const NO_VOLUME_MEMORY: VolumeMemory = { since: new Map(), touched: new Map() };

/**
 * Finds data volumes that no satellite uses, by the rules for machines (orphans.ts): only those with this cluster's tag
 * and a satellite's UID; none while a list is empty; `orphanWindowMs` in every list before they are tagged, and
 * `orphanKeptMs` after that before they are deleted, and only while they are attached to nothing; never more than
 * `orphanShare` of them within `orphanWindowMs`.
 */
export function judgeOrphanVolumes(
  facts: VolumeFacts,
  memory: VolumeMemory,
  settings: OrphanSettings,
): { readonly steps: readonly VolumeStep[]; readonly memory: VolumeMemory } {
  const ours = facts.volumes.filter(
    ({ tags, state }) =>
      tags[Tag.cluster] === facts.cluster && (tags[Tag.uid] ?? "") !== "" && state !== "deleted",
  );
  if (ours.length === 0 || facts.satellites.length === 0) {
    return { steps: [], memory: { since: new Map(), touched: memory.touched } };
  }
  const isUsed = usersOf(facts.satellites);
  const since = new Map<string, number>();
  const touched = lately(memory.touched, facts.nowMs - settings.orphanWindowMs);
  const most = Math.max(1, Math.floor(ours.length * settings.orphanShare));
  const steps: VolumeStep[] = [];
  for (const volume of ours) {
    const marked = Date.parse(volume.tags[Tag.orphanedAt] ?? "");
    if (isUsed(volume)) {
      if (!Number.isNaN(marked)) {
        steps.push({ kind: "Unmark", volume });
      }
      continue;
    }
    const before = memory.since.get(volume.id);
    since.set(volume.id, before ?? facts.nowMs);
    const isSure = before !== undefined && facts.nowMs - before >= settings.orphanWindowMs;
    const kind = isSure ? stepFor(volume, facts.now.getTime() - marked, settings) : undefined;
    if (kind !== undefined && (touched.has(volume.id) || touched.size < most)) {
      touched.set(volume.id, facts.nowMs);
      steps.push({ kind, volume });
    }
  }
  return { steps, memory: { since, touched } };
}

/** @param keptMs since it was tagged as an orphan; NaN when it was not */
function stepFor(
  { state }: Volume,
  keptMs: number,
  settings: OrphanSettings,
): VolumeStep["kind"] | undefined {
  if (Number.isNaN(keptMs)) {
    return "Mark";
  }
  return state === "available" && keptMs >= settings.orphanKeptMs ? "Delete" : undefined;
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
    // The ID is about to be written; or the satellite was restored from a backup, and takes its machine up again.
    const maySoonBe =
      (satellite !== undefined && satellite.status.volume?.id === undefined) ||
      (satellite === undefined && namesake !== undefined && namesake.status.machine === undefined);
    return used.has(id) || maySoonBe;
  };
}
