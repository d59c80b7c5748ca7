import type { Action } from "./action.ts";
import type { Blocker } from "./blocker.ts";
import { guestFailure, guestWordsForPeople } from "./guest-words.ts";
import type { Observation } from "./observation.ts";

/** How long a move may take before people are told what it waits for: most take less. */
const LATE_MS = 60_000;

/** Reason of waiting for a machine's address, which a cloud may give at the launch or never. */
export const NO_ADDRESS = "NoIPv4Address";

/** Reason of waiting for a machine that reads do not show. */
export const NOT_VISIBLE = "MachineNotVisible";

/** Reason of waiting for the port of a machine that was started. */
const COMING_UP = "ComingUp";

const notAnsweringYet = ({ machine, satellite: { status } }: Observation): string =>
  `machine ${machine?.id ?? ""} runs, and port ${status.endpoint?.port ?? 0} of ${status.endpoint?.host ?? "it"} does not answer yet`;

/** What is waited for, in words for people, by reason of the wait. */
const WORDS: Readonly<Record<string, (observed: Observation) => string>> = {
  [COMING_UP]: (observed) => {
    const { machine, cloud } = observed;
    return machine?.state === "pending"
      ? `${cloud.words.name} has not finished starting machine ${machine.id}`
      : `${notAnsweringYet(observed)}; look in its console output, and check that ${cloud.words.firewall} lets operator and ` +
          `routers in${guestWordsForPeople(observed)}`;
  },
  FallingAsleep: ({ machine, cloud: { words } }) =>
    `${words.name} has not finished stopping machine ${machine?.id ?? ""}`,
  Terminating: ({ cloud: { words } }) =>
    `${words.name} has not finished terminating a machine of the satellite`,
  Draining: () => "open streams are waited for, up to spec.drainTimeout",
  [NOT_VISIBLE]: (observed) =>
    `${observed.cloud.words.name} does not show machine ${unseenID(observed)}, which may be too new to be seen; it is looked for`,
  MachineStateContradicts: ({ machine, cloud: { words } }) =>
    `${words.name} shows machine ${machine?.id ?? ""} as ${machine?.state ?? "gone"}, and nobody here has stopped it; it is looked at again`,
  [NO_ADDRESS]: ({ machine, cloud: { words } }) =>
    `machine ${machine?.id ?? ""} has no private IPv4 address, ${words.addressless.meaning}; nobody can reach it, and IPv6 ` +
    `is not supported. ${words.addressless.advice}, and delete the satellite`,
  ClassNotHeldYet: ({ satellite: { spec } }) =>
    `SatelliteClass ${spec.className} does not bear the operator's finalizer yet, or is being deleted; nothing is launched ` +
    "of a class that may go",
  LaunchUnsettled: ({ cloud: { words }, satellite: { status } }) =>
    `it is not known whether ${words.name} launched a machine; it is looked for by the client token ${status.launch?.token ?? ""}`,
  VolumeNotReady: ({ cloud: { words } }) => `${words.name} has not finished making the data volume`,
  VolumeKeptAside: ({ keptAside, volume }) => {
    const id = volume?.attachment?.machine ?? "";
    const state = keptAside.find((kept) => kept.id === id)?.state ?? "there";
    return (
      `the data volume is on machine ${id}, which is kept aside and ${state === "stopped" ? "keeps its memory" : `is ${state}`}; ` +
      "take that machine back, or detach the volume from it (docs/operations.md, Machines that are kept aside)"
    );
  },
  VolumeInUse: () => "the data volume is still attached; it is waited for",
  Attaching: ({ cloud: { words } }) => `${words.name} has not finished attaching the data volume`,
  Detaching: ({ cloud: { words } }) => `${words.name} has not finished detaching the data volume`,
  Replacing: () => "the machine that is to replace this one does not answer yet; see status.replacement",
};

/** ID of the machine that the status names and reads do not show. */
function unseenID({ machine, replacement, retired, satellite: { status } }: Observation): string {
  const named = [
    { id: status.machine?.id, seen: machine },
    { id: status.replacement?.machine?.id, seen: replacement },
    { id: status.retired?.id, seen: retired },
  ];
  return named.find(({ id, seen }) => id !== undefined && seen === undefined)?.id ?? "";
}

/** What is waited for, where that has taken long; otherwise `undefined`. */
export function lateness(
  observed: Observation,
  wait: Extract<Action, { kind: "Wait" }>,
): Blocker | undefined {
  const { power } = observed.satellite.status;
  const sinceMs =
    observed.now.getTime() - Date.parse(power.since ?? observed.satellite.metadata.creationTimestamp ?? "");
  const words = Object.hasOwn(WORDS, wait.reason) ? WORDS[wait.reason] : undefined;
  const isSure = wait.reason === NO_ADDRESS && observed.machine?.state === "running";
  if (words === undefined || (sinceMs < LATE_MS && !isSure)) {
    return undefined;
  }
  const failure = wait.reason === COMING_UP ? guestFailure(observed, notAnsweringYet(observed)) : undefined;
  return failure ?? { reason: wait.reason, message: words(observed) };
}

/**
 * Milliseconds between looks at a machine that changes state: they grow with the time that it takes, so that a machine that
 * hangs costs few calls.
 *
 * @param pollMs between the first looks
 */
export function transitionPollMs({ satellite, now }: Observation, pollMs: number): number {
  const sinceMs = now.getTime() - Date.parse(satellite.status.power.since ?? "");
  return sinceMs > LATE_MS ? Math.max(pollMs, Math.min(MAX_POLL_MS, sinceMs / 30)) : pollMs;
}

const MAX_POLL_MS = 10_000;
