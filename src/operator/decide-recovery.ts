import type { Machine } from "../machines/cloud.ts";
import { timestamp } from "../satellite/conditions.ts";
import { PowerReason } from "../satellite/power.ts";
import type { Health } from "../satellite/resource.ts";
import type { Action } from "./action.ts";
import { waitingForRetry } from "./failures.ts";
import { failureOfGuest, guestWordsForPeople } from "./guest-words.ts";
import { healthField } from "./health.ts";
import type { Observation } from "./observation.ts";
import { healthOf } from "./older-status.ts";
import {
  pausedUntil,
  recoveryPolicy,
  stepAfter,
  withStep,
  type RecoveryPolicy,
  type RecoveryStep,
} from "./recovery-policy.ts";
import { renderStatus, type StatusChange } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { beginStop } from "./stop-intent.ts";
import { keyTrouble } from "./vm-key.ts";

/** Milliseconds between looks at a port that has been silent for longer than {@link SILENT_MS}. */
const SILENT_POLL_MS = 5000;
const SILENT_MS = 60_000;

/** For how long the port of the running machine has been silent in this epoch, as far as this process saw. */
export function silentMs(observed: Observation): number {
  const { silence } = observed.memory.port;
  return silence?.epoch === observed.satellite.status.power.epoch ? observed.nowMs - silence.sinceMs : 0;
}

/**
 * Milliseconds until the next look at a port that is silent or not as it should be: few at first, when it may be about to
 * answer, and more the more ports are silent.
 */
export function silentPollMs(observed: Observation, settings: OperatorSettings): number {
  const spacedMs = (observed.memory.port.silentPorts ?? 0) * settings.probeSpacingMs;
  const isShort =
    silentMs(observed) < SILENT_MS && keyTrouble(observed, observed.satellite.status.power) === undefined;
  return isShort ? Math.min(SILENT_POLL_MS, Math.max(settings.probePollMs, spacedMs)) : SILENT_POLL_MS;
}

/**
 * What to do about a machine that runs while its port is silent: reboot it, then stop and start it, then replace it, as far as
 * its class says, then only say so. Each comes after a silence of its own and once: `status.health` names the last step. Nothing
 * is done while a router may have streams open to it, or when the class's steps of this hour are used up.
 *
 * @returns `undefined` while there is nothing to do but wait
 */
export function decideRecovery(
  observed: Observation,
  machine: Machine,
  settings: OperatorSettings,
): Action | undefined {
  const { power } = observed.satellite.status;
  const policy = recoveryPolicy(observed, settings);
  const mayHaveStreams = power.state === "Running" && observed.idleness.liveLeases.length > 0;
  if (machine.state !== "running" || silentMs(observed) < policy.unhealthyAfterMs || mayHaveStreams) {
    return undefined;
  }
  const health = healthOf(observed.satellite.status);
  switch (health?.trouble) {
    case "Rebooting":
      return observed.memory.port.silence?.isAfterReboot === true
        ? takeStep(observed, 1, policy)
        : (waitingForRetry(observed, "Reboot") ?? { kind: "Reboot", id: machine.id });
    case "Restarting":
      return takeStep(observed, 2, policy);
    case "Replacing":
      return takeStep(observed, 3, policy);
    case "Unreachable":
      return sayLastWords(observed, health);
    case "RecoveryPaused":
    case "Stuck":
    case "MachineLost":
    case "OtherVM":
    case "TLSNotServed":
    case undefined:
      return takeStep(observed, 0, policy);
  }
}

/** What was done in vain, by how many steps were taken. */
const IN_VAIN = [
  "its class lets nothing be done about it (spec.recovery)",
  "a reboot did not help",
  "a reboot and a restart did not help",
  "a reboot, a restart and another machine did not help",
] as const;

const WHAT: Readonly<Record<RecoveryStep, string>> = {
  Rebooting: "it is rebooted",
  Restarting: "it is stopped and started",
  Replacing: "another machine takes its place",
};

/** The step after `done` ones: its intent is written, and the call comes after that. */
function takeStep(observed: Observation, done: number, policy: RecoveryPolicy): Action | undefined {
  const step = stepAfter(done, policy);
  if (step === undefined) {
    return reportHealth(observed, silentHealth(observed, "Unreachable", IN_VAIN[done] ?? IN_VAIN[3]));
  }
  const pauseEnds = pausedUntil(observed, policy);
  if (pauseEnds !== undefined) {
    return pause(observed, policy, pauseEnds);
  }
  const health = silentHealth(observed, step, WHAT[step]);
  const recoveries = withStep(observed);
  if (step === "Rebooting") {
    return reportHealth(observed, health, { recoveries });
  }
  return beginStop(observed, PowerReason.Unreachable, {
    health,
    recoveries,
    // A replacement that failed before says nothing about this one.
    ...(step === "Replacing" ? { replacement: undefined } : {}),
  });
}

/** Says, once, that the next step has to wait. The trouble stays what it is, since it tells which step is the next. */
function pause(observed: Observation, { maxPerHour }: RecoveryPolicy, until: Date): Action | undefined {
  const before = healthOf(observed.satellite.status);
  const steps = maxPerHour === 1 ? "one step" : `${maxPerHour} steps`;
  const health = silentHealth(
    observed,
    before === undefined || before.trouble === "RecoveryPaused" ? "RecoveryPaused" : before.trouble,
    `its class allows ${steps} in an hour (spec.recovery.maxPerHour), the next one is taken at ${timestamp(until)}`,
  );
  const said = before?.message.includes(timestamp(until)) === true;
  return said ? undefined : reportHealth(observed, health);
}

/** A guest may say only after the last step what is wrong with it: then the message gets its words. */
function sayLastWords(observed: Observation, health: Health): Action | undefined {
  const failure = failureOfGuest(observed);
  return failure === undefined || health.message.includes(failure)
    ? undefined
    : reportHealth(
        observed,
        healthField(health.trouble, `${health.message}${guestWordsForPeople(observed)}`),
      );
}

function reportHealth(observed: Observation, health: Health, more: StatusChange = {}): Action {
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, { health, ...more }),
    announce: { type: "Warning", reason: health.trouble, message: health.message },
  };
}

function silentHealth(observed: Observation, trouble: Health["trouble"], step: string): Health {
  const { endpoint } = observed.satellite.status;
  const { firewall } = observed.cloud.words;
  return healthField(
    trouble,
    `port ${endpoint?.port ?? 0} of ${endpoint?.host ?? "the machine"} does not answer; ${step}. Check that the ` +
      `guest listens there${endpoint?.tls === "Required" ? " and serves TLS" : ""}, and that ${firewall} lets ` +
      `operator and routers in${guestWordsForPeople(observed)}`,
  );
}
