/**
 * What to do next for one satellite: a pure function from what was observed to one action. The order of the
 * rules is the order of the file: deletion, pause, finalizer, entries of routers that are gone, launch, then the machine
 * by `status.power.state`. A replaced machine is terminated beside that.
 * Each state has its own function; docs/power-protocol.md explains the moves between them.
 */
import type { Machine } from "../machines/cloud.ts";
import { FINALIZER, isPaused } from "../satellite/resource.ts";
import { statusPatch } from "../satellite/status-patch.ts";
import type { Action } from "./action.ts";
import { decideDeletion } from "./decide-deletion.ts";
import { decideGone, decideLaunch } from "./decide-launch.ts";
import { decideSleeping, decideStarting, decideStopping } from "./decide-transition.ts";
import { decideRunning } from "./decide-running.ts";
import { decideUpdating, retire } from "./decide-update.ts";
import type { Observation } from "./observation.ts";
import { claim } from "./ownership.ts";
import { renderStatus } from "./render-status.ts";
import type { OperatorSettings } from "./settings.ts";
import { lateness } from "./waiting.ts";

/** The next action for the satellite in `o`. Throws only on a bug. */
export function decide(o: Observation, settings: OperatorSettings): Action {
  const action = decideAction(o, settings);
  return action.kind === "Wait" ? statusFirst(o, soonEnough(o, action, settings)) : action;
}

/** While a machine that was replaced goes away, its end is looked for. */
function soonEnough(
  { satellite: { status }, memory }: Observation,
  wait: Extract<Action, { kind: "Wait" }>,
  settings: OperatorSettings,
): Extract<Action, { kind: "Wait" }> {
  const isGoing = memory.calls.terminated?.[status.retired?.id ?? ""] !== undefined;
  return isGoing ? { ...wait, afterMs: Math.min(wait.afterMs, settings.quotaPollMs) } : wait;
}

/** Before waiting, the status must say what is, and where that takes long what is waited for. */
function statusFirst(o: Observation, wait: Extract<Action, { kind: "Wait" }>): Action {
  if (isPaused(o.satellite) && o.satellite.metadata.deletionTimestamp === undefined) {
    return wait;
  }
  const status = renderStatus(o, {}, lateness(o, wait));
  return statusPatch(o.satellite, status) === undefined
    ? wait
    : { kind: "WriteStatus", status, thenWaitMs: wait.afterMs };
}

function decideAction(o: Observation, settings: OperatorSettings): Action {
  const { satellite } = o;
  if (satellite.metadata.deletionTimestamp !== undefined) {
    return decideDeletion(o, settings);
  }
  if (isPaused(satellite)) {
    return { kind: "Wait", afterMs: settings.resyncMs, reason: "Paused" };
  }
  if (satellite.metadata.finalizers?.includes(FINALIZER) !== true) {
    return { kind: "AddFinalizer" };
  }
  const { staleRouters } = o.idleness;
  if (staleRouters.length > 0) {
    return { kind: "PruneRouters", routers: staleRouters };
  }
  const retirement = retire(o, settings);
  if (retirement !== undefined) {
    return retirement;
  }
  const { machine } = o;
  if (satellite.status.power.state === "Updating") {
    return decideUpdating(o, machine, settings);
  }
  if (satellite.status.machine === undefined) {
    return decideLaunch(o, settings);
  }
  if (machine === undefined || machine.state === "terminated" || machine.state === "shutting-down") {
    return decideGone(o, settings);
  }
  return claim(o, machine) ?? decidePower(o, machine, settings);
}

function decidePower(o: Observation, machine: Machine, settings: OperatorSettings): Action {
  switch (o.satellite.status.power.state) {
    case "Off":
      return decideSleeping(o, machine, settings);
    case "Starting":
      return decideStarting(o, machine, settings);
    case "Running":
      return decideRunning(o, machine, settings);
    case "Stopping":
      return decideStopping(o, machine, settings);
    case "Updating":
      return decideUpdating(o, machine, settings);
  }
}
