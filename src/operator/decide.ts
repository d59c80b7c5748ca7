/**
 * What to do next for one satellite: a pure function from what was observed to one action. The rules come in this order:
 * deletion, pause, finalizer, entries of routers that are gone, termination of a replaced machine, launch, then the machine
 * by `status.power.state`. Each state has a function of its own; docs/power-protocol.md explains the moves between them.
 */
import type { Machine } from "../machines/cloud.ts";
import { FINALIZER, isPaused } from "../satellite/resource.ts";
import { statusPatch } from "../satellite/status-patch.ts";
import type { Action } from "./action.ts";
import { decideDeletion } from "./decide-deletion.ts";
import { decideGone, decideLaunch } from "./decide-launch.ts";
import { decideRunning } from "./decide-running.ts";
import { decideSleeping } from "./decide-sleeping.ts";
import { decideStarting } from "./decide-starting.ts";
import { decideStopping } from "./decide-stopping.ts";
import { decideUpdating, retire } from "./decide-update.ts";
import type { Observation } from "./observation.ts";
import { claim } from "./ownership.ts";
import { renderStatus } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { lateness } from "./waiting.ts";

/** The next action for the satellite in `observed`. Throws only on a bug. */
export function decide(observed: Observation, settings: OperatorSettings): Action {
  const action = decideAction(observed, settings);
  return action.kind === "Wait" ? statusFirst(observed, withRetirement(observed, action, settings)) : action;
}

/** The same wait, short enough to notice the end of a machine that was replaced and is being terminated. */
function withRetirement(
  { satellite: { status }, memory }: Observation,
  wait: Extract<Action, { kind: "Wait" }>,
  settings: OperatorSettings,
): Extract<Action, { kind: "Wait" }> {
  const isGoing = memory.calls.terminated?.[status.retired?.id ?? ""] !== undefined;
  return isGoing ? { ...wait, afterMs: Math.min(wait.afterMs, settings.quotaPollMs) } : wait;
}

/** Before a wait, the status is brought up to date; where it takes long, it says what is waited for. */
function statusFirst(observed: Observation, wait: Extract<Action, { kind: "Wait" }>): Action {
  if (isPaused(observed.satellite) && observed.satellite.metadata.deletionTimestamp === undefined) {
    return wait;
  }
  const status = renderStatus(observed, {}, lateness(observed, wait));
  return statusPatch(observed.satellite, status) === undefined
    ? wait
    : { kind: "WriteStatus", status, thenWaitMs: wait.afterMs };
}

function decideAction(observed: Observation, settings: OperatorSettings): Action {
  const { satellite } = observed;
  if (satellite.metadata.deletionTimestamp !== undefined) {
    return decideDeletion(observed, settings);
  }
  if (isPaused(satellite)) {
    return { kind: "Wait", afterMs: settings.resyncMs, reason: "Paused" };
  }
  if (satellite.metadata.finalizers?.includes(FINALIZER) !== true) {
    return { kind: "AddFinalizer" };
  }
  const { staleRouters } = observed.idleness;
  if (staleRouters.length > 0) {
    return { kind: "PruneRouters", routers: staleRouters };
  }
  const retirement = retire(observed, settings);
  if (retirement !== undefined) {
    return retirement;
  }
  const { machine } = observed;
  if (satellite.status.power.state === "Updating") {
    return decideUpdating(observed, machine, settings);
  }
  if (satellite.status.machine === undefined) {
    return decideLaunch(observed, settings);
  }
  if (machine === undefined || machine.state === "terminated" || machine.state === "shutting-down") {
    return decideGone(observed, settings);
  }
  return claim(observed, machine) ?? decidePower(observed, machine, settings);
}

function decidePower(observed: Observation, machine: Machine, settings: OperatorSettings): Action {
  switch (observed.satellite.status.power.state) {
    case "Off":
      return decideSleeping(observed, machine, settings);
    case "Starting":
      return decideStarting(observed, machine, settings);
    case "Running":
      return decideRunning(observed, machine, settings);
    case "Stopping":
      return decideStopping(observed, machine, settings);
    case "Updating":
      return decideUpdating(observed, machine, settings);
  }
}
