import type { Clock } from "../base/clock.ts";
import type { MachineCloud, VolumePlan } from "../machines/cloud.ts";
import { dataVolumeTags, ownerTags } from "../machines/tags.ts";
import type { Action } from "./action.ts";
import { ConfigurationError } from "./failures.ts";
import type { Memory } from "./memory/memory.ts";
import { noteMiss } from "./memory/search.ts";
import { noteVolume } from "./memory/volume.ts";
import type { Observation } from "./observation.ts";

/**
 * Carries out one action on the data volume, and notes what it did.
 *
 * @throws CloudError, or ConfigurationError when the written intent is not whole
 */
export async function performOnVolume(
  action: Extract<
    Action,
    { kind: "CreateVolume" | "FindVolume" | "AttachVolume" | "DetachVolume" | "DeleteVolume" }
  >,
  observed: Observation,
  memory: Memory,
  cloud: MachineCloud,
  clock: Clock,
): Promise<void> {
  switch (action.kind) {
    case "CreateVolume": {
      const plan = volumePlan(observed);
      noteVolume(memory, { made: { token: plan.token, volume: await cloud.createVolume(plan) } });
      return;
    }
    case "FindVolume": {
      const plan = volumePlan(observed);
      const volume = await cloud.findVolume(plan);
      if (volume === undefined) {
        noteMiss(memory, plan.token, clock.monotonicMs());
      } else {
        noteVolume(memory, { made: { token: plan.token, volume } });
      }
      return;
    }
    case "AttachVolume":
      await cloud.attachVolume(action.id, action.machine);
      noteVolume(memory, {
        attached: { volume: action.id, machine: action.machine, atMs: clock.monotonicMs() },
      });
      return;
    case "DetachVolume":
      await cloud.detachVolume(action.id, action.machine);
      noteVolume(memory, { detached: { volume: action.id, atMs: clock.monotonicMs() } });
      return;
    case "DeleteVolume":
      await cloud.deleteVolume(action.id);
      noteVolume(memory, { deleted: action.id });
      return;
  }
}

/** The plan that `status.volume` holds, with the tags of the machine's launch. */
function volumePlan({ cluster, satellite: { metadata, status } }: Observation): VolumePlan {
  const { volume, launch } = status;
  const { token, zone, sizeGiB, type, iops, throughput, kmsKeyID } = volume ?? {};
  if (token === undefined || zone === undefined || sizeGiB === undefined || type === undefined) {
    throw new ConfigurationError(
      "VolumeIntentIncomplete",
      "status.volume lacks parameters of the volume; delete the satellite and create it anew",
    );
  }
  const { namespace = "", name, uid = "" } = metadata;
  return {
    token,
    zone,
    sizeGiB,
    type,
    ...(iops === undefined ? {} : { iops }),
    ...(throughput === undefined ? {} : { throughput }),
    ...(kmsKeyID === undefined ? {} : { kmsKeyID }),
    tags: dataVolumeTags({ ...launch?.tags, ...ownerTags(cluster, { namespace, name, uid }) }),
  };
}
