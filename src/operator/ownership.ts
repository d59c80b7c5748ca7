import type { Machine } from "../machines/cloud.ts";
import { adoptableBy, Tag } from "../machines/tags.ts";
import { Annotation } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Action } from "./action.ts";
import { waitingForRetry } from "./failures.ts";
import type { Blocker } from "./blocker.ts";
import type { Observation } from "./observation.ts";

/** ID of the instance that the satellite is to take over; undefined when it is to have one of its own. */
export function wantedAdoption({ metadata }: Satellite): string | undefined {
  const id = metadata.annotations?.[Annotation.adopt];
  return id === "" ? undefined : id;
}

/** What an instance's ID looks like: 8 hexadecimal digits, or 17 (EC2 user guide, "Resource IDs"). */
const INSTANCE_ID = /^i-(?:[0-9a-f]{8}|[0-9a-f]{17})$/;

/** Whether the ID may be one; EC2 is not asked for others. */
export function isInstanceId(id: string): boolean {
  return INSTANCE_ID.test(id);
}

/** Whether the machine's tags say that it is this satellite's, and nothing else. */
export function bearsOurTags(o: Observation, { tags }: Machine): boolean {
  return (
    tags[Tag.cluster] === o.cluster &&
    tags[Tag.uid] === o.satellite.metadata.uid &&
    (tags[Tag.orphanedAt] ?? "") === "" &&
    tags[Tag.retained] !== "true"
  );
}

/**
 * Tags the satellite's machine, and its data volume, as its own where the machine's tags say something else: after a restore
 * from a backup (the UID is another one), or because somebody changed them. The volume comes first: as long as the machine
 * bears the wrong tags, whoever leads knows that something is left to do. `undefined` when they are right, or were set just
 * now.
 */
export function claim(o: Observation, machine: Machine): Action | undefined {
  const isRight = bearsOurTags(o, machine);
  const id = [o.satellite.status.volume?.id, machine.id].find((one) => {
    const last = o.memory.ownership.claims?.[one ?? ""];
    const isDue = last === undefined || o.nowMs - last.atMs >= CLAIM_PAUSE_MS;
    return one !== undefined && isDue && (!isRight || last?.isDone === false);
  });
  return id === undefined ? undefined : { kind: "Claim", id };
}

/** Tags that cannot be set must not keep the satellite from being started or stopped: they are tried now and then. */
const CLAIM_PAUSE_MS = 10 * 60_000;

/**
 * Why the instance that the annotation names cannot be taken over. Its owner must have tagged it for exactly this
 * satellite: otherwise whoever may write satellites could take, and delete, any instance of the account.
 */
export function adoptionBlocker(o: Observation): Blocker | undefined {
  const id = wantedAdoption(o.satellite);
  if (id === undefined || o.satellite.status.machine !== undefined) {
    return undefined;
  }
  if (!isInstanceId(id)) {
    return {
      reason: "AdoptionInvalid",
      message: `"${id.slice(0, MAX_SHOWN)}" is no ID of an instance; correct or remove the annotation ${Annotation.adopt}`,
    };
  }
  const { adoptee, adoptionRefusal } = o;
  if (adoptionRefusal !== undefined) {
    return adoptionRefusal;
  }
  if (adoptee === undefined || adoptee.state === "terminated" || adoptee.state === "shutting-down") {
    return {
      reason: "AdoptionNotFound",
      message: `instance ${id} does not exist; correct or remove the annotation ${Annotation.adopt}`,
    };
  }
  // Before anything else is said of it: what is said may be another tenant's business.
  const { namespace = "", name } = o.satellite.metadata;
  const value = adoptableBy(o.cluster, { namespace, name });
  if (adoptee.tags[Tag.adoptableBy] !== value) {
    return {
      reason: "AdoptionNotAllowed",
      message: `instance ${id} may not be taken over; its owner allows it by the tag ${Tag.adoptableBy}=${value}`,
    };
  }
  if (o.adopteeUser !== undefined) {
    return {
      reason: "AdoptionInUse",
      message: `instance ${id} is the machine of satellite ${o.adopteeUser}; delete that one first, with deletionPolicy Retain`,
    };
  }
  return undefined;
}

/** How far the adoption of an instance has come. */
export type AdoptionStep =
  /** Its tags are ours by now: the status may name it. */
  | { readonly kind: "ours"; readonly machine: Machine }
  /** What is to be done, or waited for, before that. */
  | { readonly kind: "not yet"; readonly next: Action };

/** Takes over the instance that the annotation names, once its tags allow it. */
export function adopt(o: Observation): AdoptionStep {
  const { adoptee } = o;
  const blocker = adoptionBlocker(o);
  if (adoptee === undefined || blocker !== undefined) {
    const dueMs = (o.memory.ownership.adoption?.againAtMs ?? 0) - o.nowMs;
    const reason = blocker?.reason ?? "AdoptionNotFound";
    return { kind: "not yet", next: { kind: "Wait", afterMs: Math.max(1000, dueMs), reason } };
  }
  const isOurs = bearsOurTags(o, adoptee) || o.memory.ownership.claims?.[adoptee.id]?.isDone === true;
  return isOurs
    ? { kind: "ours", machine: adoptee }
    : { kind: "not yet", next: waitingForRetry(o, "Claim") ?? { kind: "Claim", id: adoptee.id } };
}

/** Most characters of an annotation's value that a message shows. */
const MAX_SHOWN = 64;
