import { createHash } from "node:crypto";
import type { Machine, Volume } from "../machines/cloud.ts";
import { isRefusal } from "../machines/errors.ts";
import type { VolumeIntent } from "../satellite/resource.ts";
import type { Action } from "./action.ts";
import { isGone, missingPollMs } from "./absence.ts";
import { search } from "./decide-search.ts";
import { failureOfAction, waitingForRetry } from "./failures.ts";
import type { Failure } from "./memory/failures.ts";
import type { Observation } from "./observation.ts";
import { renderStatus } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { transitionPollMs } from "./waiting.ts";

/** Milliseconds between looks at a volume that is being made. */
const POLL_MS = 1000;

/** Whether the machine lacks a data volume that it is to have. Until it has it, its port may answer, but nobody may use it. */
export function lacksVolume({ satellite: { status } }: Observation, machine: Machine): boolean {
  const { volume, launch } = status;
  return volume === undefined
    ? launch?.dataVolume !== undefined
    : volume.id === undefined || !machine.volumes.includes(volume.id);
}

/**
 * The next step until a machine that runs has the satellite's data volume. The intent is written before the volume is
 * made, and its ID before it is used, as for launches.
 *
 * @returns `undefined` when the machine has it, or is to have none
 */
export function giveVolume(
  observed: Observation,
  machine: Machine,
  settings: OperatorSettings,
): Action | undefined {
  const { volume, launch } = observed.satellite.status;
  if (machine.state !== "running") {
    return lacksVolume(observed, machine)
      ? { kind: "Wait", afterMs: transitionPollMs(observed, settings.transitionPollMs), reason: "ComingUp" }
      : undefined;
  }
  if (volume === undefined) {
    return launch?.dataVolume === undefined ? undefined : planVolume(observed, machine.zone, 0);
  }
  if (volume.id === undefined) {
    return settleVolume(observed);
  }
  if (machine.volumes.includes(volume.id)) {
    return undefined;
  }
  if (isLost(observed, settings)) {
    return planVolume(observed, machine.zone, volume.attempt + 1);
  }
  return attach(observed, volume.id, machine, settings);
}

/** Attaches the volume once it is free, and waits until it is. */
export function attach(
  observed: Observation,
  id: string,
  machine: Machine,
  settings: OperatorSettings,
): Action {
  const { volume, memory, nowMs } = observed;
  const { attached } = memory.volume;
  const isRecent =
    attached?.volume === id && attached.machine === machine.id && nowMs - attached.atMs < settings.settleMs;
  if (volume === undefined) {
    return { kind: "Wait", afterMs: missingPollMs(observed, id), reason: "VolumeNotVisible" };
  }
  if (volume.state === "creating") {
    return { kind: "Wait", afterMs: POLL_MS, reason: "VolumeNotReady" };
  }
  const holder = volume.attachment;
  const aside = observed.keptAside.find((kept) => kept.id === holder?.machine);
  if (holder !== undefined && aside !== undefined) {
    return isDown(aside)
      ? detach(observed, id, holder, settings)
      : {
          kind: "Wait",
          afterMs: transitionPollMs(observed, settings.transitionPollMs),
          reason: "VolumeKeptAside",
        };
  }
  if (isRecent || (holder !== undefined && isOurs(observed, holder.machine))) {
    return {
      kind: "Wait",
      afterMs: transitionPollMs(observed, settings.transitionPollMs),
      reason: "Attaching",
    };
  }
  return waitingForRetry(observed, "AttachVolume") ?? { kind: "AttachVolume", id, machine: machine.id };
}

/** Whether nothing of the machine goes on: what hibernates has the volume's file system in its memory. */
function isDown({ state, stateReason }: Machine): boolean {
  return state === "stopped" && stateReason?.hibernated !== true;
}

/** Takes the volume from a machine that does not run, and waits until it is free. */
export function detach(
  observed: Observation,
  id: string,
  holder: NonNullable<Volume["attachment"]>,
  settings: OperatorSettings,
): Action {
  const { detached } = observed.memory.volume;
  const isSent = detached?.volume === id && observed.nowMs - detached.atMs < settings.settleMs;
  return isSent || holder.state === "detaching" || holder.state === "busy"
    ? { kind: "Wait", afterMs: transitionPollMs(observed, settings.transitionPollMs), reason: "Detaching" }
    : (waitingForRetry(observed, "DetachVolume") ?? { kind: "DetachVolume", id, machine: holder.machine });
}

/** Whether the status names the machine. A volume that is attached to such a one is where it should be, or will be free. */
export function isOurs({ satellite: { status } }: Observation, id: string): boolean {
  return [status.machine?.id, status.replacement?.machine?.id, status.retired?.id].includes(id);
}

/** Whether the volume is gone although it should be there; that a read does not show it is no proof. */
export function isLost(observed: Observation, settings: OperatorSettings): boolean {
  const { volume, satellite } = observed;
  return volume === undefined
    ? isGone(observed, satellite.status.volume?.id ?? "", settings)
    : volume.state === "error" || volume.state === "deleting" || volume.state === "deleted";
}

/** Sends the written intent until the volume's ID is known, and writes that. */
export function settleVolume(observed: Observation): Action {
  const { volume } = observed.satellite.status;
  const made = observed.memory.volume.made;
  if (volume === undefined || made === undefined || made.token !== volume.token) {
    return waitingForRetry(observed, "CreateVolume") ?? { kind: "CreateVolume" };
  }
  const { id, createdAt } = made.volume;
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, { volume: { ...volume, id, ...(createdAt === "" ? {} : { createdAt }) } }),
    announce: {
      type: "Normal",
      reason: "VolumeCreated",
      message: `made data volume ${id} in ${volume.zone}`,
    },
  };
}

/**
 * The same where nobody wants the volume any more: where the outcome of its creation is unknown it is looked for.
 *
 * @returns "nothing" when it is proven that there is none
 */
export function settleUnwantedVolume(observed: Observation, settings: OperatorSettings): Action | "nothing" {
  const { token = "" } = observed.satellite.status.volume ?? {};
  const isMade = observed.memory.volume.made?.token === token;
  const isUnknown = failureOfAction(observed, "CreateVolume") !== undefined;
  const found = isMade ? undefined : search(observed, { action: "FindVolume", token, isUnknown }, settings);
  return found ?? settleVolume(observed);
}

/** The refusal that proves that there is no volume, if there was one. */
export function volumeRefusal(observed: Observation): Failure | undefined {
  const failure = failureOfAction(observed, "CreateVolume");
  return failure !== undefined && isRefusal(failure.class) ? failure : undefined;
}

/** Writes what the volume is to be. After a loss it is another volume, with another token. */
function planVolume(observed: Observation, zone: string, attempt: number): Action {
  const { volume, launch } = observed.satellite.status;
  const { sizeGiB, type, iops, throughput, kmsKeyID } = launch?.dataVolume ?? volume ?? {};
  const intent: VolumeIntent = {
    attempt,
    token: volumeToken(observed.satellite.metadata.uid ?? "", attempt),
    zone,
    ...(sizeGiB === undefined ? {} : { sizeGiB }),
    ...(type === undefined ? {} : { type }),
    ...(iops === undefined ? {} : { iops }),
    ...(throughput === undefined ? {} : { throughput }),
    ...(kmsKeyID === undefined ? {} : { kmsKeyID }),
  };
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, { volume: intent }),
    ...(volume?.id === undefined
      ? {}
      : {
          announce: {
            type: "Warning",
            reason: "VolumeLost",
            message: `data volume ${volume.id} was deleted outside, and what it held is lost; another one is made`,
          },
        }),
  };
}

/** Token of one attempt to make a satellite's data volume; 64 hexadecimal digits. */
function volumeToken(uid: string, attempt: number): string {
  return createHash("sha256")
    .update(JSON.stringify([uid, "volume", attempt]))
    .digest("hex");
}
