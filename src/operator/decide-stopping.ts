import type { Machine } from "../machines/cloud.ts";
import { boundedMessage, timestamp } from "../satellite/conditions.ts";
import { PowerReason, isDraining } from "../satellite/power.ts";
import type { Action } from "./action.ts";
import { scheduledWake } from "./decide-schedule.ts";
import { waitingForRetry } from "./failures.ts";
import type { Observation } from "./observation.ts";
import { movePower } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { drainingMs } from "./stop-intent.ts";
import { isSettling, isStuck, reportStuck, writePower } from "./transition.ts";
import { transitionPollMs } from "./waiting.ts";

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
