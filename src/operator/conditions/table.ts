import { findCondition, setConditions } from "../../satellite/conditions.ts";
import type { Condition, SatelliteStatus } from "../../satellite/resource.ts";
import { awake } from "./awake.ts";
import type { ConditionRow, Rendering } from "./condition-row.ts";
import { eventScheduled } from "./event-scheduled.ts";
import { healthy } from "./healthy.ts";
import { hibernatable } from "./hibernatable.ts";
import { keptAside } from "./kept-aside.ts";
import { launched } from "./launched.ts";
import { ready } from "./ready.ts";
import { updated } from "./updated.ts";

/**
 * The conditions of a Satellite, in the order in which they are listed; without those that follow from Ready
 * (`withProgress`). They are for people and their tools: the operator decides nothing by them.
 */
const CONDITIONS: readonly ConditionRow[] = [
  { type: "Ready", render: ready },
  { type: "Awake", render: awake },
  { type: "Launched", render: launched },
  { type: "Healthy", render: healthy },
  { type: "Hibernatable", render: hibernatable },
  { type: "Updated", render: updated },
  { type: "EventScheduled", render: eventScheduled },
  { type: "MachinesKeptAside", render: keptAside },
];

/** The conditions as they read after a step. */
export function renderConditions(rendering: Omit<Rendering, "shown">, generation: number): Condition[] {
  const { now, satellite } = rendering.observed;
  const before = satellite.status.conditions;
  const changes = CONDITIONS.flatMap(({ type, render }) => {
    const said = render({ ...rendering, shown: findCondition(before, type) });
    return said === undefined ? [] : [{ type, ...said }];
  });
  return setConditions(before, changes, now, generation);
}

/** Whether Ready already has this reason, so that it need not be announced again. */
export function isSaid(status: SatelliteStatus, reason: string): boolean {
  return findCondition(status.conditions, "Ready")?.reason === reason;
}
