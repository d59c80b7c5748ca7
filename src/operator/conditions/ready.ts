import type { Power } from "../../satellite/resource.ts";
import { attemptTrouble } from "../attempts.ts";
import { blockerOf } from "../blockers.ts";
import { answers } from "../health.ts";
import type { Blocker } from "../blocker.ts";
import { no, noFor, yes, type Rendering, type Said } from "./condition-row.ts";

const MOVING_MESSAGE: Readonly<Record<Power["state"], string>> = {
  Off: "the machine is off; it is about to be started",
  Starting: "the machine is being started",
  Running: "the machine runs; it is about to be put to sleep",
  Stopping: "the machine is being put to sleep",
  Updating: "the machine is being updated",
};

/** Whether power is as wished. A satellite that is meant to sleep and does is ready, so that nobody waits for it forever. */
export function ready(rendering: Rendering): Said {
  const { observed, status, late } = rendering;
  const { power } = status;
  const silence = silenceOf(rendering);
  if (silence !== undefined) {
    return noFor(silence);
  }
  const failure = observed.memory.failures.last ?? blockerOf(observed) ?? attemptTrouble(status) ?? late;
  if (failure !== undefined && observed.satellite.metadata.deletionTimestamp !== undefined) {
    return noFor(failure);
  }
  const wished = observed.satellite.spec.desiredPower === "on" ? "Running" : "Off";
  if (power.state === wished) {
    return wished === "Running"
      ? yes("Running", "the machine runs and its port answers")
      : yes("Asleep", "asleep, as desired");
  }
  return failure === undefined ? no(power.state, MOVING_MESSAGE[power.state]) : noFor(failure);
}

/** What is wrong with the machine: it is lost or stuck, or its port should answer and does not. */
function silenceOf({ observed, status }: Rendering): Blocker | undefined {
  const { power, health } = status;
  const isStuckStopping = health?.trouble === "Stuck" && power.state === "Stopping";
  const isUp = power.state === "Starting" || power.state === "Running";
  const isSilent = isUp && !answers(observed, power);
  if (health !== undefined && (health.trouble === "MachineLost" || isStuckStopping || isSilent)) {
    return { reason: health.trouble, message: health.message };
  }
  return isSilent && observed.satellite.spec.desiredPower === "on" ? attemptTrouble(status) : undefined;
}
