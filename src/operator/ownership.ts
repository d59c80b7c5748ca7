import type { Machine } from "../machines/cloud.ts";
import { adoptableBy, Tag } from "../machines/tags.ts";
import { Annotation } from "../satellite/resource.ts";
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

/** Whether the machine's tags say that it is this satellite's, and in use. */
export function bearsOurTags(observed: Observation, { tags }: Machine): boolean {
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
  const { adoptee, adoptionRefusal } = observed;
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
  const { namespace = "", name } = observed.satellite.metadata;
  const value = adoptableBy(observed.cluster, { namespace, name });
  if (adoptee.tags[Tag.adoptableBy] !== value) {
    return {
      reason: "AdoptionNotAllowed",
      message: `machine ${id} may not be taken over; its owner allows it by the tag ${Tag.adoptableBy}=${value}`,
    };
  }
  if (observed.adopteeUser !== undefined) {
    return {
      reason: "AdoptionInUse",
      message: `machine ${id} is that of satellite ${observed.adopteeUser}; delete that one first, with deletionPolicy Retain`,
    };
  }
  return undefined;
}

/** How far the adoption of a machine has come. */
export type AdoptionStep =
  /** Its tags say that it is this satellite's: the status may name it. */
  | { readonly kind: "ours"; readonly machine: Machine }
  /** What has to be done or waited for before that. */
  | { readonly kind: "not yet"; readonly next: Action };

/** Takes over the machine that the annotation names, once its tags allow it. */
export function adopt(observed: Observation): AdoptionStep {
  const { adoptee } = observed;
  const blocker = adoptionBlocker(observed);
  if (adoptee === undefined || blocker !== undefined) {
    const dueMs = (observed.memory.ownership.adoption?.againAtMs ?? 0) - observed.nowMs;
    const reason = blocker?.reason ?? "AdoptionNotFound";
    return { kind: "not yet", next: { kind: "Wait", afterMs: Math.max(1000, dueMs), reason } };
  }
  const isOurs =
    bearsOurTags(observed, adoptee) || observed.memory.ownership.claims?.[adoptee.id]?.isDone === true;
  return isOurs
    ? { kind: "ours", machine: adoptee }
    : { kind: "not yet", next: waitingForRetry(observed, "Claim") ?? { kind: "Claim", id: adoptee.id } };
}

/** Most characters of an annotation's value that a message shows. */
const MAX_SHOWN = 64;
