import type { Machine } from "../machines/cloud.ts";
import { timestamp } from "../satellite/conditions.ts";
import { PowerReason } from "../satellite/power.ts";
import type { SatelliteStatus } from "../satellite/resource.ts";
import type { Action } from "./action.ts";
import { failedAttempt } from "./attempts.ts";
import { giveVolume, lacksVolume } from "./data-volume.ts";
import { decideRecovery, silentMs, silentPollMs } from "./decide-recovery.ts";
import { waitingForRetry } from "./failures.ts";
import { readLastWords } from "./guest-words.ts";
import { startOf } from "./memory/accepted-calls.ts";
import type { Observation } from "./observation.ts";
import { movePower } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { anotherType } from "./size.ts";
import { beginStop } from "./stop-intent.ts";
import { isSettling, isStuck, reportStuck, writePower } from "./transition.ts";
import { movedEndpoint, needsKey, probeAction, withLearnedKey } from "./vm-key.ts";
import { NO_ADDRESS, transitionPollMs } from "./waiting.ts";

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
  const recovery =
    readLastWords(observed, machine, silentMs(observed), settings) ??
    decideRecovery(observed, machine, settings);
  if (recovery !== undefined) {
    return recovery;
  }
  const pollMs = silentPollMs(observed, settings);
  if (seen !== undefined && observed.nowMs - seen.atMs < pollMs) {
    return { kind: "Wait", afterMs: seen.atMs + pollMs - observed.nowMs, reason: "ComingUp" };
  }
  return probeAction(observed, endpoint);
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
