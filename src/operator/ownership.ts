import type { Machine, Volume } from "../machines/cloud.ts";
import { adoptableBy, DATA_VOLUME, Tag } from "../machines/tags.ts";
import { Annotation, type VolumeIntent } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Action } from "./action.ts";
import { waitingForRetry } from "./failures.ts";
import type { Blocker } from "./blocker.ts";
import type { Observation } from "./observation.ts";

/** ID of the machine that the satellite is to take over; `undefined` when it is to have one of its own. */
export function wantedAdoption({ metadata }: Satellite): string | undefined {
  const id = metadata.annotations?.[Annotation.adopt];
  return id === "" ? undefined : id;
}

/** What tags are read of. */
type Tagged = Pick<Machine | Volume, "tags">;

/** Value of the tag by which the owner of a machine or a volume offers it to this satellite. */
export function offerOf({ cluster, satellite: { metadata } }: Observation): string {
  const { namespace = "", name } = metadata;
  return adoptableBy(cluster, { namespace, name });
}

/** Whether the owner of a machine or a volume offers it to exactly this satellite. */
export function isOffered(observed: Observation, { tags }: Tagged): boolean {
  return tags[Tag.adoptableBy] === offerOf(observed);
}

/** Whether the tags of a machine or a volume say that it is this satellite's, and in use. */
export function bearsOurTags(observed: Observation, { tags }: Tagged): boolean {
  return (
    tags[Tag.cluster] === observed.cluster &&
    tags[Tag.uid] === observed.satellite.metadata.uid &&
    (tags[Tag.orphanedAt] ?? "") === "" &&
    tags[Tag.retained] !== "true"
  );
}

/**
 * Tags the satellite's machine and data volume as its own where the machine's tags say something else: after a restore from
 * a backup, where the UID is another one, or because somebody changed them. The volume comes first: the machine's wrong tags
 * tell the next leader, too, that something is left to do. `undefined` when the tags are right, or were set just now.
 */
export function claim(observed: Observation, machine: Machine): Action | undefined {
  const isRight = bearsOurTags(observed, machine);
  const id = [observed.satellite.status.volume?.id, machine.id].find((one) => {
    const last = observed.memory.ownership.claims?.[one ?? ""];
    const isDue = last === undefined || observed.nowMs - last.atMs >= CLAIM_PAUSE_MS;
    return one !== undefined && isDue && (!isRight || last?.isDone === false);
  });
  return id === undefined ? undefined : { kind: "Claim", id };
}

/** Pause after tags could not be set, so that the satellite can be started and stopped meanwhile. */
const CLAIM_PAUSE_MS = 10 * 60_000;

/**
 * Why the machine that the annotation names cannot be taken over. Its owner must have tagged it for exactly this
 * satellite: otherwise whoever may write satellites could take, and delete, any machine of the account.
 */
export function adoptionBlocker(observed: Observation): Blocker | undefined {
  const id = wantedAdoption(observed.satellite);
  if (id === undefined || observed.satellite.status.machine !== undefined) {
    return undefined;
  }
  if (!observed.cloud.isMachineID(id)) {
    return {
      reason: "AdoptionInvalid",
      message: `"${id.slice(0, MAX_SHOWN)}" is no ID of a machine; correct or remove the annotation ${Annotation.adopt}`,
    };
  }
  const { adoptee, adoptionRefusal, adopteeUser } = observed;
  if (adoptionRefusal !== undefined) {
    return adoptionRefusal;
  }
  if (adoptee === undefined || adoptee.state === "terminated" || adoptee.state === "shutting-down") {
    return {
      reason: "AdoptionNotFound",
      message: `machine ${id} does not exist; correct or remove the annotation ${Annotation.adopt}`,
    };
  }
  // This comes first, since any other answer could tell about machines of other tenants.
  if (!isOffered(observed, adoptee)) {
    return notOffered(observed, `machine ${id}`);
  }
  return adopteeUser === undefined ? volumeBlocker(observed, adoptee) : inUse(`machine ${id}`, adopteeUser);
}

/**
 * Why the volume on the machine keeps that from being taken over. A satellite's data volume is taken along, so that it is
 * neither lost nor left to nobody; its owner must have offered it, too. Any other volume is none of the satellite's business.
 */
function volumeBlocker(observed: Observation, { id, volumes: [volumeID] }: Machine): Blocker | undefined {
  const { adopteeVolume: volume, adopteeVolumeUser: user, cloud, satellite } = observed;
  const own = satellite.status.volume?.id;
  if (volumeID === undefined || volumeID === own) {
    return undefined;
  }
  const what = `data volume ${volumeID} on machine ${id}`;
  if (own !== undefined) {
    return {
      reason: "AdoptionInvalid",
      message: `${what} has the place of ${own}, which this satellite has already; detach ${volumeID} from the machine`,
    };
  }
  if (volume === undefined) {
    return {
      reason: "VolumeNotVisible",
      message: `${cloud.words.name} does not show ${what}; it is looked for again`,
    };
  }
  if (isOffered(observed, volume)) {
    return user === undefined ? undefined : inUse(what, user);
  }
  return volume.tags[Tag.volume] === DATA_VOLUME
    ? notOffered(observed, what, " as well, or detaches it")
    : undefined;
}

function notOffered(observed: Observation, what: string, more = ""): Blocker {
  return {
    reason: "AdoptionNotAllowed",
    message: `${what} may not be taken over; its owner allows it by the tag ${Tag.adoptableBy}=${offerOf(observed)}${more}`,
  };
}

function inUse(what: string, user: string): Blocker {
  return {
    reason: "AdoptionInUse",
    message: `${what} is that of satellite ${user}; delete that one first, with deletionPolicy Retain`,
  };
}

/** How far the adoption of a machine has come. */
export type AdoptionStep =
  /** The tags of machine and volume say that they are this satellite's: the status may name them. */
  | { readonly kind: "ours"; readonly machine: Machine; readonly volume: Volume | undefined }
  /** What has to be done or waited for before that. */
  | { readonly kind: "not yet"; readonly next: Action };

/**
 * Takes over the machine that the annotation names, once its tags allow it, and the data volume on it where that is offered
 * too. The volume comes first: a machine with the satellite's tags is taken up by the next leader as it is.
 */
export function adopt(observed: Observation): AdoptionStep {
  const { adoptee, adopteeVolume } = observed;
  const blocker = adoptionBlocker(observed);
  if (adoptee === undefined || blocker !== undefined) {
    const dueMs = (observed.memory.ownership.adoption?.againAtMs ?? 0) - observed.nowMs;
    const reason = blocker?.reason ?? "AdoptionNotFound";
    return { kind: "not yet", next: { kind: "Wait", afterMs: Math.max(1000, dueMs), reason } };
  }
  const volume =
    adopteeVolume !== undefined && isOffered(observed, adopteeVolume) ? adopteeVolume : undefined;
  const unclaimed = [volume, adoptee].find(
    (one) =>
      one !== undefined &&
      !bearsOurTags(observed, one) &&
      observed.memory.ownership.claims?.[one.id]?.isDone !== true,
  );
  return unclaimed === undefined
    ? { kind: "ours", machine: adoptee, volume }
    : { kind: "not yet", next: waitingForRetry(observed, "Claim") ?? { kind: "Claim", id: unclaimed.id } };
}

/**
 * The intent that names the volume of a machine that is taken up.
 *
 * @returns `undefined` where it is none of the satellite's: its tags neither have the satellite's name nor offer it
 */
export function takenVolume(observed: Observation, volume: Volume | undefined): VolumeIntent | undefined {
  const { namespace, name } = observed.satellite.metadata;
  if (volume === undefined || observed.satellite.status.volume !== undefined) {
    return undefined;
  }
  const { id, zone, tags } = volume;
  const isNamed = tags[Tag.namespace] === namespace && tags[Tag.name] === name;
  return isNamed || isOffered(observed, volume) ? { id, attempt: 0, zone } : undefined;
}

/** Most characters of an annotation's value that a message shows. */
const MAX_SHOWN = 64;
