import type { Machine } from "../machines/cloud.ts";
import { CloudError } from "../machines/errors.ts";
import type { Action } from "./action.ts";
import type { Blocker } from "./blocker.ts";
import type { Dependencies } from "./dependencies.ts";
import { requireClass } from "./launch-request.ts";
import { noteGuestWords, type GuestWordsMemory } from "./memory/guest-words.ts";
import type { Memory } from "./memory/memory.ts";
import type { Observation } from "./observation.ts";
import type { OperatorSettings } from "./settings.ts";

/** Milliseconds between two looks at one machine's console, at least and at most. */
const READ_EVERY_MS = { min: 60_000, max: 3_600_000 };

/** Most characters that are quoted of why a console cannot be read. */
const MAX_REFUSAL = 512;

/** Reason of conditions and events: the guest says that it has failed. */
const GUEST_FAILED = "GuestFailed";

/**
 * The guest of a machine that runs is asked by its console why the port is silent: soon at first, and ever more rarely the
 * longer that lasts.
 *
 * @param silentMs for how long the port has been silent
 */
export function readLastWords(
  observed: Observation,
  machine: Machine,
  silentMs: number,
  settings: OperatorSettings,
): Action | undefined {
  if (machine.state !== "running" || silentMs < settings.lastWordsAfterMs) {
    return undefined;
  }
  const read = readInThisEpoch(observed);
  const everyMs = Math.min(READ_EVERY_MS.max, Math.max(READ_EVERY_MS.min, silentMs / 2));
  return read !== undefined && observed.nowMs - read.atMs < everyMs
    ? undefined
    : { kind: "ReadLastWords", id: machine.id };
}

/** What the guest says has failed, in this epoch. */
export function failureOfGuest(observed: Observation): string | undefined {
  const words = readInThisEpoch(observed)?.words;
  return words?.isFailure === true ? words.text : undefined;
}

/** What was read of the machine as it runs now, if anything was. */
function readInThisEpoch({ memory, satellite }: Observation): GuestWordsMemory["read"] {
  const { read } = memory.guestWords;
  return read?.epoch === satellite.status.power.epoch ? read : undefined;
}

/** What the guest says has failed, as a reason why its port is silent. @param silence what is known of the port */
export function guestFailure(observed: Observation, silence: string): Blocker | undefined {
  const failure = failureOfGuest(observed);
  return failure === undefined
    ? undefined
    : { reason: GUEST_FAILED, message: `the guest says on its console: ${failure}; ${silence}` };
}

/** What its console has shown, to be put behind a message about its port; empty where it has shown nothing. */
export function guestWordsForPeople(observed: Observation): string {
  const read = readInThisEpoch(observed);
  if (read?.refusal !== undefined) {
    return `. Its console could not be read: ${read.refusal}`;
  }
  return read?.words === undefined ? "" : `. The guest says on its console: ${read.words.text}`;
}

/**
 * Reads what the guest has said, and announces a failure that is new. That it cannot be read is no failure of the satellite:
 * it is said where people look for the cause.
 */
export async function performReadLastWords(
  { id }: Extract<Action, { kind: "ReadLastWords" }>,
  observed: Observation,
  memory: Memory,
  { cloudOf, clock, logger, metrics, announce }: Dependencies,
): Promise<void> {
  const { satellite } = observed;
  const { epoch } = satellite.status.power;
  const before = failureOfGuest(observed);
  try {
    const words = await cloudOf(requireClass(satellite, observed.satelliteClass)).lastWords(id);
    noteGuestWords(memory, { epoch, atMs: clock.monotonicMs(), ...(words === undefined ? {} : { words }) });
    if (words?.isFailure === true && words.text !== before) {
      announce(satellite, {
        type: "Warning",
        reason: GUEST_FAILED,
        message: `the guest of machine ${id} says on its console: ${words.text}`,
      });
    }
  } catch (error) {
    if (!(error instanceof CloudError)) {
      throw error;
    }
    const refusal = `${error.reason}: ${error.message}`.slice(0, MAX_REFUSAL);
    noteGuestWords(memory, { epoch, atMs: clock.monotonicMs(), refusal });
    metrics.failures.inc({ reason: error.reason });
    logger.warn("The console of a silent machine could not be read", { id, reason: error.reason, error });
  }
}
