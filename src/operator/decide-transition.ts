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

/** `status.power.state` is Off: start it when it is wanted; mend a machine that runs although nobody wants it. */
export function decideSleeping(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  const wanted = o.satellite.spec.desiredPower === "on";
  switch (machine.state) {
    case "stopped":
      return (
        applySize(o, machine, settings) ??
        applyImage(o, machine) ??
        (wanted ? decideWake(o, settings) : decideAsleep(o, settings))
      );
    case "running":
    case "pending":
      return wanted ? beginStart(o, PowerReason.Drift, true) : beginStop(o, PowerReason.Drift);
    case "stopping":
    case "shutting-down":
    case "terminated":
      return {
        kind: "Wait",
        afterMs: transitionPollMs(o, settings.transitionPollMs),
        reason: "FallingAsleep",
      };
  }
}

function decideWake(o: Observation, settings: OperatorSettings): Action {
  return o.awakeLimit === undefined
    ? (pausingBetweenAttempts(o) ?? beginStart(o, PowerReason.Wake))
    : { kind: "Wait", afterMs: settings.quotaPollMs, reason: o.awakeLimit.reason };
}

function decideAsleep(o: Observation, settings: OperatorSettings): Action {
  const { sleep } = o.satellite.status;
  if (sleep?.kind === "Hibernated") {
    const asleepMs = o.now.getTime() - Date.parse(sleep.since);
    if (asleepMs >= settings.refreshHibernatedMs) {
      return pausingBetweenAttempts(o) ?? beginStart(o, PowerReason.Refresh);
    }
  }
  return waitForSchedule(o, settings, "Asleep");
}

/**
 * Whether a call of this epoch was accepted so lately that the cloud's descriptions may not show it yet. After a
 * restart of the operator the time of the written intent stands in for that of the call.
 */
function settling(o: Observation, call: AcceptedCall | undefined, settings: OperatorSettings): boolean {
  const { power } = o.satellite.status;
  if (call?.epoch === power.epoch) {
    return o.nowMs - call.atMs < settings.settleMs;
  }
  return power.accepted && o.now.getTime() - Date.parse(power.since ?? "") < settings.settleMs;
}

/** `status.power.state` is Starting: send the call once, then wait until the VM's port answers. */
export function decideStarting(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { power, endpoint } = o.satellite.status;
  const called = o.memory.calls.start?.epoch === power.epoch;
  if (!power.accepted && (called || machine.state === "running" || machine.state === "pending")) {
    return acceptStart(o, machine);
  }
  if (!power.accepted) {
    return machine.state === "stopping"
      ? { kind: "Wait", afterMs: transitionPollMs(o, settings.transitionPollMs), reason: "FallingAsleep" }
      : sendStart(o, machine, settings);
  }
  const sinceMs = o.now.getTime() - Date.parse(power.since ?? "");
  if (machine.state === "pending" && sinceMs > settings.stuckStartingMs && !isStuck(o)) {
    return reportStuck(
      o,
      "EC2 does not finish starting the machine; nothing can be done but wait, or delete it",
    );
  }
  const down = machine.state === "stopped" || machine.state === "stopping";
  if (down && !settling(o, o.memory.calls.start, settings)) {
    return failStart(o, machine);
  }
  if (machine.state === "running" && o.satellite.spec.desiredPower === "off") {
    return beginStop(o, power.reason === PowerReason.Refresh ? PowerReason.Refresh : PowerReason.DesiredOff);
  }
  if (endpoint === undefined || endpoint.host !== (machine.address ?? endpoint.host)) {
    return machine.address === undefined
      ? { kind: "Wait", afterMs: transitionPollMs(o, settings.transitionPollMs), reason: NO_ADDRESS }
      : acceptStart(o, machine);
  }
  return decideComingUp(o, machine, endpoint, settings);
}

/** The cloud accepted the start, and the machine did not come up. */
function failStart(o: Observation, machine: Machine): Action {
  const attempts = failedAttempt(o, machine);
  const { reason, message } = attempts;
  return writePower(
    o,
    movePower(o, "Off", PowerReason.Drift),
    { attempts },
    { type: "Warning", reason, message },
  );
}

/**
 * Sends the start that this process wrote; one that it found is fenced first, so that no late patch of the
 * leader before can move power under it (docs/decisions/0012).
 */
function sendStart(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { power } = o.satellite.status;
  if (o.satellite.spec.desiredPower === "off" && power.reason !== PowerReason.Refresh) {
    return beginStop(o);
  }
  if (o.memory.calls.ownedStart !== startOf(power)) {
    return writePower(o, { ...power, fence: power.fence + 1 });
  }
  return (
    anotherType(o, machine, settings) ?? waitingForRetry(o, "Start") ?? { kind: "Start", id: machine.id }
  );
}

function acceptStart(o: Observation, machine: Machine): Action {
  const { power } = o.satellite.status;
  return writePower(o, { ...power, accepted: true }, { endpoint: movedEndpoint(o, machine) });
}

function decideComingUp(
  o: Observation,
  machine: Machine,
  endpoint: NonNullable<SatelliteStatus["endpoint"]>,
  settings: OperatorSettings,
): Action {
  const missing = lacksVolume(o, machine) ? giveVolume(o, machine, settings) : undefined;
  if (missing !== undefined) {
    return missing;
  }
  const { probe: last } = o.memory.port;
  const { power } = o.satellite.status;
  const seen = last?.epoch === power.epoch ? last : undefined;
  const learned = withLearnedKey(o, endpoint);
  if (seen?.ready === true && (learned !== undefined || !needsKey(endpoint))) {
    return becomeRunning(o, seen.bootID, learned ?? endpoint);
  }
  const recovery = decideRecovery(o, machine, settings);
  if (recovery !== undefined) {
    return recovery;
  }
  const pollMs = silentPollMs(o, settings);
  if (seen !== undefined && o.nowMs - seen.atMs < pollMs) {
    return { kind: "Wait", afterMs: seen.atMs + pollMs - o.nowMs, reason: "ComingUp" };
  }
  return probe(o, endpoint);
}

function becomeRunning(
  o: Observation,
  bootID: string | undefined,
  endpoint: NonNullable<SatelliteStatus["endpoint"]>,
): Action {
  const { power, machine, usage, sleep } = o.satellite.status;
  const before = machine?.bootID;
  const lost =
    sleep?.kind === "Hibernated" && bootID !== undefined && before !== undefined && before !== bootID;
  const woke = power.reason !== PowerReason.Launch;
  const message = lost ? MEMORY_LOST : "the VM's gRPC port answers";
  return writePower(
    o,
    {
      state: "Running",
      epoch: power.epoch,
      accepted: true,
      fence: power.fence,
      ...(power.reason === undefined ? {} : { reason: power.reason }),
      since: timestamp(o.now),
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

/** EC2 reports a hibernation as done although the guest failed at it; only another boot ID tells (docs/ec2.md). */
const MEMORY_LOST =
  "the machine was hibernated but booted anew, so its memory was not kept; look in its console output for why the " +
  "guest could not hibernate";

/** `status.power.state` is Stopping: send the call once the streams have drained, then wait until it has stopped. */
export function decideStopping(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { power } = o.satellite.status;
  if (power.reason === PowerReason.Deleting) {
    return { kind: "Wait", afterMs: settings.resyncMs, reason: "Deleting" };
  }
  const wake = scheduledWake(o);
  if (wake !== undefined) {
    return wake;
  }
  if (machine.state === "stopped") {
    return stopIsAnswered(o)
      ? becomeOff(o, machine)
      : (waitingForRetry(o, "Stop") ?? {
          kind: "Stop",
          id: machine.id,
          hibernate: power.sleepKind === "Hibernate",
          force: false,
        });
  }
  if (machine.state === "pending") {
    return { kind: "Wait", afterMs: transitionPollMs(o, settings.transitionPollMs), reason: "ComingUp" };
  }
  if (machine.state === "stopping") {
    return decideFallingAsleep(o, machine, settings);
  }
  return decideStopCall(o, machine, settings);
}

/**
 * Whether the cloud answered a stop of this process. Only then is a reading of `stopped` believed: it may be from
 * before the intent. Stopping a stopped machine is a success that does nothing (docs/decisions/0015).
 */
function stopIsAnswered({ memory, satellite }: Observation): boolean {
  return memory.calls.stop?.epoch === satellite.status.power.epoch;
}

function decideFallingAsleep(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { power } = o.satellite.status;
  if (!power.accepted) {
    return writePower(o, { ...power, accepted: true });
  }
  const sinceMs = o.now.getTime() - Date.parse(power.since ?? "");
  const calledMs = o.memory.calls.stop?.epoch === power.epoch ? o.nowMs - o.memory.calls.stop.atMs : Infinity;
  if (Math.min(sinceMs, calledMs) <= settings.stuckStoppingMs) {
    return { kind: "Wait", afterMs: transitionPollMs(o, settings.transitionPollMs), reason: "FallingAsleep" };
  }
  if (power.sleepKind === "Hibernate") {
    return giveUpHibernation(o);
  }
  return !isStuck(o)
    ? reportStuck(o, "the machine does not finish stopping; it is stopped by force")
    : (waitingForRetry(o, "Stop") ?? { kind: "Stop", id: machine.id, hibernate: false, force: true });
}

function isStuck({ satellite }: Observation): boolean {
  return healthOf(satellite.status)?.trouble === "Stuck";
}

/** Says that the machine is stuck, once, before anything is done about it. */
function reportStuck(o: Observation, message: string): Action {
  return writePower(
    o,
    o.satellite.status.power,
    { health: healthField("Stuck", message) },
    { type: "Warning", reason: "Stuck", message },
  );
}

/** A machine that is forced off keeps no memory; nobody may take it for hibernated afterwards. */
function giveUpHibernation(o: Observation): Action {
  const { power } = o.satellite.status;
  return writePower(
    o,
    { ...power, sleepKind: "Stop" },
    {},
    {
      type: "Warning",
      reason: "StuckStopping",
      message: "the machine does not finish hibernating; it is stopped by force, and its memory is not kept",
    },
  );
}

/** The machine runs: drain, then stop it; fall back from hibernate to stop when it cannot. */
function decideStopCall(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  const { power } = o.satellite.status;
  if (settling(o, o.memory.calls.stop, settings)) {
    return power.accepted
      ? { kind: "Wait", afterMs: transitionPollMs(o, settings.transitionPollMs), reason: "FallingAsleep" }
      : writePower(o, { ...power, accepted: true });
  }
  if (isDraining(power) && !power.accepted) {
    const leftMs = drainingMs(o);
    if (leftMs > 0) {
      return { kind: "Wait", afterMs: leftMs, reason: "Draining" };
    }
  }
  return (
    decideRefusedHibernation(o, machine, settings) ??
    waitingForRetry(o, "Stop") ?? {
      kind: "Stop",
      id: machine.id,
      hibernate: power.sleepKind === "Hibernate",
      force: false,
    }
  );
}

function decideRefusedHibernation(
  o: Observation,
  machine: Machine,
  settings: OperatorSettings,
): Action | undefined {
  const failure = o.memory.failures.last;
  const { power } = o.satellite.status;
  if (failure?.action !== "Stop" || power.sleepKind !== "Hibernate") {
    return undefined;
  }
  const unsupported = failure.class === "hibernation-unsupported";
  if (!unsupported && failure.class !== "hibernation-not-ready") {
    return undefined;
  }
  const wantedAgain = o.satellite.spec.desiredPower === "on";
  const ageMs = o.now.getTime() - Date.parse(machine.launchedAt);
  return unsupported || wantedAgain || ageMs > settings.hibernateReadyMs
    ? fallBackToStop(o, failure.message, unsupported)
    : undefined;
}

/** A stop is never taken back; where it is wanted again, a plain stop is the quickest way to the next epoch. */
function fallBackToStop(o: Observation, message: string, forGood: boolean): Action {
  const { power } = o.satellite.status;
  return writePower(
    o,
    { ...power, sleepKind: "Stop" },
    forGood ? { hibernation: { trouble: "Refused", message: boundedMessage(message) } } : {},
    {
      type: "Warning",
      reason: "HibernationRefused",
      message: `stopping instead of hibernating, memory is not kept: ${message}`,
    },
  );
}

function becomeOff(o: Observation, machine: Machine): Action {
  const { power } = o.satellite.status;
  const called = power.accepted || machine.stateReason?.code.includes("Hibernate") === true;
  const hibernated = power.sleepKind === "Hibernate" && called;
  const reason = power.reason ?? PowerReason.DesiredOff;
  return writePower(
    o,
    movePower(o, "Off", reason),
    {
      sleep: { kind: hibernated ? "Hibernated" : "Stopped", since: timestamp(o.now), reason },
    },
    {
      type: "Normal",
      reason: hibernated ? "Hibernated" : "Stopped",
      message: `machine ${machine.id} ${hibernated ? "hibernates" : "is stopped"}`,
    },
  );
}

function writePower(
  o: Observation,
  power: Power,
  change: StatusChange = {},
  announce?: Announcement,
): Action {
  return {
    kind: "WriteStatus",
    status: renderStatus(o, { ...change, power }),
    ...(announce === undefined ? {} : { announce }),
  };
}
