/**
 * Counts launches and starts that the cloud accepted and could not carry out; the machine's description says later why.
 * An attempt has succeeded only when the VM has been awake for a while; until then the pauses between attempts grow. The
 * count is in `status.attempts`, so that it survives a restart of the operator.
 */
import { createHash } from "node:crypto";
import { backoffMs } from "../base/backoff.ts";
import { NO_CAPACITY, type Machine } from "../machines/cloud.ts";
import { timestamp } from "../satellite/conditions.ts";
import type { Attempts, Power } from "../satellite/resource.ts";
import type { Action } from "./action.ts";
import { inputsOf } from "./failures.ts";
import type { Blocker } from "./blocker.ts";
import type { Observation } from "./observation.ts";

/** Where each fails at once: about 14 attempts in the first hour, then 6 an hour. */
const BACKOFF = { baseMs: 2000, maxMs: 10 * 60_000 };

/** A machine that was awake for less than this before it ended counts as one that never was. */
const LASTING_MS = 10 * 60_000;

/** The fields of the status that attempts are judged by. */
interface Standing {
  readonly attempts?: Attempts | undefined;
  readonly power: Power;
}

/** After this many failures in a row the phase is Failed, so that a person looks. Attempts go on. */
const PERSON_AFTER = 4;

/** `status.attempts` after another one failed. @param machine as the cloud describes it, with its reason */
export function failedAttempt(observed: Observation, machine: Machine | undefined): Attempts {
  const { status, metadata } = observed.satellite;
  const failed = (hasLasted(observed) ? 0 : (status.attempts?.failed ?? 0)) + 1;
  const pauseMs = backoffMs(failed - 1, BACKOFF, () => jitterOf(`${metadata.uid ?? ""}/${failed}`));
  const { reason = "MachineEnded", code, message, advice } = machine?.stateReason ?? {};
  const id = machine?.id ?? status.machine?.id ?? "";
  const { name } = observed.cloud.words;
  const said =
    code === undefined
      ? `${name} does not say why`
      : `${name} says ${code}${message === "" ? "" : `: ${message}`}`;
  const times = failed === 1 ? "" : `, the ${ordinal(failed)} in a row`;
  return {
    failed,
    // Whole seconds, never earlier.
    retryAt: timestamp(new Date(Math.ceil((observed.now.getTime() + pauseMs) / 1000) * 1000)),
    reason,
    message:
      `machine ${id} ended before it was of use${times} (${said}); ` +
      `${advice ?? "look at the machine in the account"}. It is tried again after a growing pause`,
    ...(machine === undefined ? {} : { type: machine.type }),
    inputs: inputsOf(observed),
  };
}

/** The same for a machine that ran; `undefined` where it was awake for long, which makes up for all failures before. */
export function endedAttempt(observed: Observation, machine: Machine | undefined): Attempts | undefined {
  return hasLasted(observed) ? undefined : failedAttempt(observed, machine);
}

/** The failed attempts that still count: none once the machine has been awake for long. */
export function countingAttempts(observed: Observation, { attempts, power }: Standing): Attempts | undefined {
  return power.state === "Running" && hasLasted(observed) ? undefined : attempts;
}

/** A wait after a failed attempt; a change of satellite or class ends it. */
export function pausingBetweenAttempts(observed: Observation): Action | undefined {
  const { attempts } = observed.satellite.status;
  if (attempts === undefined || attempts.inputs !== inputsOf(observed)) {
    return undefined;
  }
  const leftMs = Date.parse(attempts.retryAt) - observed.now.getTime();
  // More than the longest pause: the clock has jumped.
  return leftMs > 0 && leftMs <= BACKOFF.maxMs + 1000
    ? { kind: "Wait", afterMs: leftMs, reason: attempts.reason }
    : undefined;
}

/** Why the satellite is not in the state that is wished. */
export function attemptTrouble({ attempts, power }: Standing): Blocker | undefined {
  return attempts === undefined || power.state === "Running"
    ? undefined
    : { reason: attempts.reason, message: attempts.message };
}

/** Whether a person should look. Whoever waits for the satellite is told so. */
export function attemptsNeedPerson({ attempts, power }: Standing): boolean {
  return (
    attempts !== undefined &&
    power.state !== "Running" &&
    attempts.failed >= PERSON_AFTER &&
    attempts.reason !== NO_CAPACITY
  );
}

function hasLasted({ satellite, now }: Observation): boolean {
  const { power } = satellite.status;
  return power.state === "Running" && now.getTime() - Date.parse(power.since ?? "") >= LASTING_MS;
}

/** A number in [0, 1) that differs between satellites and attempts, so that they are not tried at the same moment. */
function jitterOf(text: string): number {
  return createHash("sha256").update(text).digest().readUInt32BE(0) / 2 ** 32;
}

function ordinal(count: number): string {
  const endings: Readonly<Record<number, string>> = { 1: "st", 2: "nd", 3: "rd" };
  const isTeen = count % 100 >= 11 && count % 100 <= 13;
  return `${count}${isTeen ? "th" : (endings[count % 10] ?? "th")}`;
}
