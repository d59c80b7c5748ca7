import type { Machine } from "../machines/cloud.ts";
import { PowerReason } from "../satellite/power.ts";
import type { Health } from "../satellite/resource.ts";
import type { Action } from "./action.ts";
import { waitingForRetry } from "./failures.ts";
import { failureOfGuest, guestWordsForPeople } from "./guest-words.ts";
import { healthField } from "./health.ts";
import type { Observation } from "./observation.ts";
import { healthOf } from "./older-status.ts";
import { renderStatus } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { beginStop } from "./stop-intent.ts";
import { keyTrouble } from "./vm-key.ts";

/** Milliseconds between looks at a port that has been silent for longer than {@link SILENT_MS}. */
const SILENT_POLL_MS = 5000;
const SILENT_MS = 60_000;
const GIVEN_UP = "a reboot and a restart did not help";

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
 * What to do about a machine that runs while its port is silent: reboot it, then stop and start it, then only say so. Each
 * comes after `unreachableMs` of silence and once: `status.health` names the last step. Nothing is done while a router may
 * have streams open to it.
 *
 * @returns `undefined` while there is nothing to do but wait
 */
export function decideRecovery(
  observed: Observation,
  machine: Machine,
  settings: OperatorSettings,
): Action | undefined {
  const { power } = observed.satellite.status;
  const mayHaveStreams = power.state === "Running" && observed.idleness.liveLeases.length > 0;
  if (machine.state !== "running" || silentMs(observed) < settings.unreachableMs || mayHaveStreams) {
    return undefined;
  }
  switch (healthOf(observed.satellite.status)?.trouble) {
    case "Rebooting":
      return observed.memory.calls.reboot?.epoch === power.epoch
        ? beginStop(observed, PowerReason.Unreachable, {
            health: silentHealth(observed, "Restarting", "it is stopped and started"),
          })
        : (waitingForRetry(observed, "Reboot") ?? { kind: "Reboot", id: machine.id });
    case "Restarting":
      return reportHealth(observed, silentHealth(observed, "Unreachable", GIVEN_UP));
    case "Unreachable":
      return sayLastWords(observed);
    case "Stuck":
    case "MachineLost":
    case "OtherVM":
    case "TLSNotServed":
    case undefined:
      return reportHealth(observed, silentHealth(observed, "Rebooting", "it is rebooted"));
  }
}

/** A guest may say only after the last step what is wrong with it: then the message gets its words. */
function sayLastWords(observed: Observation): Action | undefined {
  const failure = failureOfGuest(observed);
  const isSaid =
    failure === undefined || healthOf(observed.satellite.status)?.message.includes(failure) === true;
  return isSaid ? undefined : reportHealth(observed, silentHealth(observed, "Unreachable", GIVEN_UP));
}

function reportHealth(observed: Observation, health: Health): Action {
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, { health }),
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
