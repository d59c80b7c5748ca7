import type { Machine } from "../machines/cloud.ts";
import { boundedMessage, timestamp } from "../satellite/conditions.ts";
import { isDraining, PowerReason } from "../satellite/power.ts";
import type { Power, SatelliteStatus } from "../satellite/resource.ts";
import type { Action, Announcement } from "./action.ts";
import { failedAttempt, pausingBetweenAttempts } from "./attempts.ts";
import { decideRecovery, silentPollMs } from "./decide-recovery.ts";
import { scheduledWake, waitForSchedule } from "./decide-schedule.ts";
import { giveVolume, lacksVolume } from "./data-volume.ts";
import { applyImage } from "./decide-update.ts";
import { waitingForRetry } from "./failures.ts";
import { startOf, type AcceptedCall } from "./memory/accepted-calls.ts";
import type { Observation } from "./observation.ts";
import { healthField } from "./health.ts";
import { healthOf } from "./older-status.ts";
import { movePower, renderStatus, type StatusChange } from "./render-status.ts";
import { anotherType, applySize } from "./size.ts";
import type { OperatorSettings } from "./settings.ts";
import { beginStart } from "./start-intent.ts";
import { beginStop, drainingMs } from "./stop-intent.ts";
import { NO_ADDRESS, transitionPollMs } from "./waiting.ts";
import { movedEndpoint, needsKey, probe, withLearnedKey } from "./vm-key.ts";

/** `status.power.state` is Off: starts the machine when it is wanted, and corrects one that runs all the same. */
export function decideSleeping(observed: Observation, machine: Machine, settings: OperatorSettings): Action {
  const wanted = observed.satellite.spec.desiredPower === "on";
  switch (machine.state) {
    case "stopped":
      return (
        applySize(observed, machine, settings) ??
        applyImage(observed, machine) ??
        (wanted ? decideWake(observed, settings) : decideAsleep(observed, settings))
      );
    case "running":
    case "pending":
      return wanted ? beginStart(observed, PowerReason.Drift, true) : beginStop(observed, PowerReason.Drift);
    case "stopping":
    case "shutting-down":
    case "terminated":
      return {
        kind: "Wait",
        afterMs: transitionPollMs(observed, settings.transitionPollMs),
        reason: "FallingAsleep",
      };
  }
}

function decideWake(observed: Observation, settings: OperatorSettings): Action {
  return observed.awakeLimit === undefined
    ? (pausingBetweenAttempts(observed) ?? beginStart(observed, PowerReason.Wake))
    : { kind: "Wait", afterMs: settings.quotaPollMs, reason: observed.awakeLimit.reason };
}

function decideAsleep(observed: Observation, settings: OperatorSettings): Action {
  const { sleep } = observed.satellite.status;
  if (sleep?.kind === "Hibernated") {
    const asleepMs = observed.now.getTime() - Date.parse(sleep.since);
    if (asleepMs >= settings.refreshHibernatedMs) {
      return pausingBetweenAttempts(observed) ?? beginStart(observed, PowerReason.Refresh);
    }
  }
  return waitForSchedule(observed, settings, "Asleep");
}

/**
 * Whether a call of this epoch was accepted so recently that descriptions may not show it yet. After a restart of the
 * operator the time of the written intent is taken for that of the call.
 */
function isSettling(
  observed: Observation,
  call: AcceptedCall | undefined,
  settings: OperatorSettings,
): boolean {
  const { power } = observed.satellite.status;
  if (call?.epoch === power.epoch) {
    return observed.nowMs - call.atMs < settings.settleMs;
  }
  return power.accepted && observed.now.getTime() - Date.parse(power.since ?? "") < settings.settleMs;
}

/** `status.power.state` is Starting: sends the call once, then waits until the VM's port answers. */
export function decideStarting(observed: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { power, endpoint } = observed.satellite.status;
  const called = observed.memory.calls.start?.epoch === power.epoch;
  if (!power.accepted && (called || machine.state === "running" || machine.state === "pending")) {
    return acceptStart(observed, machine);
  }
  if (!power.accepted) {
    return machine.state === "stopping"
      ? {
          kind: "Wait",
          afterMs: transitionPollMs(observed, settings.transitionPollMs),
          reason: "FallingAsleep",
        }
      : sendStart(observed, machine, settings);
  }
  const sinceMs = observed.now.getTime() - Date.parse(power.since ?? "");
  if (machine.state === "pending" && sinceMs > settings.stuckStartingMs && !isStuck(observed)) {
    return reportStuck(
      observed,
      `${observed.cloud.words.name} does not finish starting the machine; nothing can be done but wait, or delete it`,
    );
  }
  const down = machine.state === "stopped" || machine.state === "stopping";
  if (down && !isSettling(observed, observed.memory.calls.start, settings)) {
    return failStart(observed, machine);
  }
  if (machine.state === "running" && observed.satellite.spec.desiredPower === "off") {
    return beginStop(
      observed,
      power.reason === PowerReason.Refresh ? PowerReason.Refresh : PowerReason.DesiredOff,
    );
  }
  if (endpoint === undefined || endpoint.host !== (machine.address ?? endpoint.host)) {
    return machine.address === undefined
      ? { kind: "Wait", afterMs: transitionPollMs(observed, settings.transitionPollMs), reason: NO_ADDRESS }
      : acceptStart(observed, machine);
  }
  return decideComingUp(observed, machine, endpoint, settings);
}

/** The cloud accepted the start, but the machine did not come up. */
function failStart(observed: Observation, machine: Machine): Action {
  const attempts = failedAttempt(observed, machine);
  const { reason, message } = attempts;
  return writePower(
    observed,
    movePower(observed, "Off", PowerReason.Drift),
    { attempts },
    { type: "Warning", reason, message },
  );
}

/**
 * Sends a start whose intent this process wrote. An intent of another process is fenced first, so that no late patch of
 * that leader can change power meanwhile (docs/decisions/0012).
 */
function sendStart(observed: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { power } = observed.satellite.status;
  if (observed.satellite.spec.desiredPower === "off" && power.reason !== PowerReason.Refresh) {
    return beginStop(observed);
  }
  if (observed.memory.calls.ownedStart !== startOf(power)) {
    return writePower(observed, { ...power, fence: power.fence + 1 });
  }
  return (
    anotherType(observed, machine, settings) ??
    waitingForRetry(observed, "Start") ?? { kind: "Start", id: machine.id }
  );
}

function acceptStart(observed: Observation, machine: Machine): Action {
  const { power } = observed.satellite.status;
  return writePower(observed, { ...power, accepted: true }, { endpoint: movedEndpoint(observed, machine) });
}

function decideComingUp(
  observed: Observation,
  machine: Machine,
  endpoint: NonNullable<SatelliteStatus["endpoint"]>,
  settings: OperatorSettings,
): Action {
  const missing = lacksVolume(observed, machine) ? giveVolume(observed, machine, settings) : undefined;
  if (missing !== undefined) {
    return missing;
  }
  const { probe: last } = observed.memory.port;
  const { power } = observed.satellite.status;
  const seen = last?.epoch === power.epoch ? last : undefined;
  const learned = withLearnedKey(observed, endpoint);
  if (seen?.ready === true && (learned !== undefined || !needsKey(endpoint))) {
    return becomeRunning(observed, seen.bootID, learned ?? endpoint);
  }
  const recovery = decideRecovery(observed, machine, settings);
  if (recovery !== undefined) {
    return recovery;
  }
  const pollMs = silentPollMs(observed, settings);
  if (seen !== undefined && observed.nowMs - seen.atMs < pollMs) {
    return { kind: "Wait", afterMs: seen.atMs + pollMs - observed.nowMs, reason: "ComingUp" };
  }
  return probe(observed, endpoint);
}

function becomeRunning(
  observed: Observation,
  bootID: string | undefined,
  endpoint: NonNullable<SatelliteStatus["endpoint"]>,
): Action {
  const { power, machine, usage, sleep } = observed.satellite.status;
  const before = machine?.bootID;
  const lost =
    sleep?.kind === "Hibernated" && bootID !== undefined && before !== undefined && before !== bootID;
  const woke = power.reason !== PowerReason.Launch;
  const message = lost ? MEMORY_LOST : "the VM's gRPC port answers";
  return writePower(
    observed,
    {
      state: "Running",
      epoch: power.epoch,
      accepted: true,
      fence: power.fence,
      ...(power.reason === undefined ? {} : { reason: power.reason }),
      since: timestamp(observed.now),
    },
    {
      machine:
        machine === undefined ? undefined : { ...machine, ...(bootID === undefined ? {} : { bootID }) },
      endpoint,
      sleep: undefined,
      usage: { ...usage, wakes: (usage?.wakes ?? 0) + (woke ? 1 : 0) },
      ...(lost ? { hibernation: { trouble: "MemoryLost", message } } : {}),
    },
    lost
      ? { type: "Warning", reason: "MemoryLost", message }
      : { type: "Normal", reason: woke ? "Awake" : "Ready", message },
  );
}

/** A cloud may report a hibernation as done although the guest failed at it; only another boot ID tells (docs/ec2.md). */
const MEMORY_LOST =
  "the machine was hibernated but booted anew, so its memory was not kept; look in its console output for why the " +
  "guest could not hibernate";

/** `status.power.state` is Stopping: sends the call once the streams have drained, then waits until it has stopped. */
export function decideStopping(observed: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { power } = observed.satellite.status;
  if (power.reason === PowerReason.Deleting) {
    return { kind: "Wait", afterMs: settings.resyncMs, reason: "Deleting" };
  }
  const wake = scheduledWake(observed);
  if (wake !== undefined) {
    return wake;
  }
  if (machine.state === "stopped") {
    return stopIsAnswered(observed)
      ? becomeOff(observed, machine)
      : (waitingForRetry(observed, "Stop") ?? {
          kind: "Stop",
          id: machine.id,
          hibernate: power.sleepKind === "Hibernate",
          force: false,
        });
  }
  if (machine.state === "pending") {
    return {
      kind: "Wait",
      afterMs: transitionPollMs(observed, settings.transitionPollMs),
      reason: "ComingUp",
    };
  }
  if (machine.state === "stopping") {
    return decideFallingAsleep(observed, machine, settings);
  }
  return decideStopCall(observed, machine, settings);
}

/**
 * Whether the cloud has answered a stop of this process. Until then a description as `stopped` may be from before the
 * intent, and proves nothing. Stopping a stopped machine succeeds and does nothing (docs/decisions/0015).
 */
function stopIsAnswered({ memory, satellite }: Observation): boolean {
  return memory.calls.stop?.epoch === satellite.status.power.epoch;
}

function decideFallingAsleep(observed: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { power } = observed.satellite.status;
  if (!power.accepted) {
    return writePower(observed, { ...power, accepted: true });
  }
  const sinceMs = observed.now.getTime() - Date.parse(power.since ?? "");
  const calledMs =
    observed.memory.calls.stop?.epoch === power.epoch
      ? observed.nowMs - observed.memory.calls.stop.atMs
      : Infinity;
  if (Math.min(sinceMs, calledMs) <= settings.stuckStoppingMs) {
    return {
      kind: "Wait",
      afterMs: transitionPollMs(observed, settings.transitionPollMs),
      reason: "FallingAsleep",
    };
  }
  if (power.sleepKind === "Hibernate") {
    return giveUpHibernation(observed);
  }
  return !isStuck(observed)
    ? reportStuck(observed, "the machine does not finish stopping; it is stopped by force")
    : (waitingForRetry(observed, "Stop") ?? { kind: "Stop", id: machine.id, hibernate: false, force: true });
}

function isStuck({ satellite }: Observation): boolean {
  return healthOf(satellite.status)?.trouble === "Stuck";
}

/** Says that the machine is stuck, once, before anything is done about it. */
function reportStuck(observed: Observation, message: string): Action {
  return writePower(
    observed,
    observed.satellite.status.power,
    { health: healthField("Stuck", message) },
    { type: "Warning", reason: "Stuck", message },
  );
}

/** A machine that is stopped by force keeps no memory: from here on it must not count as hibernated. */
function giveUpHibernation(observed: Observation): Action {
  const { power } = observed.satellite.status;
  return writePower(
    observed,
    { ...power, sleepKind: "Stop" },
    {},
    {
      type: "Warning",
      reason: "StuckStopping",
      message: "the machine does not finish hibernating; it is stopped by force, and its memory is not kept",
    },
  );
}

/** The machine runs: waits until streams have drained, then stops it, without hibernation where that is refused. */
function decideStopCall(observed: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { power } = observed.satellite.status;
  if (isSettling(observed, observed.memory.calls.stop, settings)) {
    return power.accepted
      ? {
          kind: "Wait",
          afterMs: transitionPollMs(observed, settings.transitionPollMs),
          reason: "FallingAsleep",
        }
      : writePower(observed, { ...power, accepted: true });
  }
  if (isDraining(power) && !power.accepted) {
    const leftMs = drainingMs(observed);
    if (leftMs > 0) {
      return { kind: "Wait", afterMs: leftMs, reason: "Draining" };
    }
  }
  return (
    decideRefusedHibernation(observed, machine, settings) ??
    waitingForRetry(observed, "Stop") ?? {
      kind: "Stop",
      id: machine.id,
      hibernate: power.sleepKind === "Hibernate",
      force: false,
    }
  );
}

function decideRefusedHibernation(
  observed: Observation,
  machine: Machine,
  settings: OperatorSettings,
): Action | undefined {
  const failure = observed.memory.failures.last;
  const { power } = observed.satellite.status;
  if (failure?.action !== "Stop" || power.sleepKind !== "Hibernate") {
    return undefined;
  }
  const unsupported = failure.class === "hibernation-unsupported";
  if (!unsupported && failure.class !== "hibernation-not-ready") {
    return undefined;
  }
  const wantedAgain = observed.satellite.spec.desiredPower === "on";
  const ageMs = observed.now.getTime() - Date.parse(machine.launchedAt);
  return unsupported || wantedAgain || ageMs > settings.hibernateReadyMs
    ? fallBackToStop(observed, failure.message, unsupported)
    : undefined;
}

/** A stop is never taken back. Where the satellite is wanted again, a plain stop is the quickest way to its next start. */
function fallBackToStop(observed: Observation, message: string, forGood: boolean): Action {
  const { power } = observed.satellite.status;
  return writePower(
    observed,
    { ...power, sleepKind: "Stop" },
    forGood ? { hibernation: { trouble: "Refused", message: boundedMessage(message) } } : {},
    {
      type: "Warning",
      reason: "HibernationRefused",
      message: `stopping instead of hibernating, memory is not kept: ${message}`,
    },
  );
}

function becomeOff(observed: Observation, machine: Machine): Action {
  const { power } = observed.satellite.status;
  const called = power.accepted || machine.stateReason?.hibernated === true;
  const hibernated = power.sleepKind === "Hibernate" && called;
  const reason = power.reason ?? PowerReason.DesiredOff;
  return writePower(
    observed,
    movePower(observed, "Off", reason),
    {
      sleep: { kind: hibernated ? "Hibernated" : "Stopped", since: timestamp(observed.now), reason },
    },
    {
      type: "Normal",
      reason: hibernated ? "Hibernated" : "Stopped",
      message: `machine ${machine.id} ${hibernated ? "hibernates" : "is stopped"}`,
    },
  );
}

function writePower(
  observed: Observation,
  power: Power,
  change: StatusChange = {},
  announce?: Announcement,
): Action {
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, { ...change, power }),
    ...(announce === undefined ? {} : { announce }),
  };
}
