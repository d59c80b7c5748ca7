import { findCondition, timestamp, type ConditionChange } from "../satellite/conditions.ts";
import type { SeenEvent } from "./host-events.ts";
import type { Observation } from "./observation.ts";

/** How long before its event a machine in use is stopped: draining, hibernating and starting again take their time. */
export const LEAD_MS = 3_600_000;
/** How long EC2 may go on listing an event after the start that ended it. */
const LISTED_LATE_MS = 15 * 60_000;

/**
 * The event that the cloud has announced for the machine and that nothing was done about. One that was read before, or
 * shortly after, the machine's last start is that of the host before.
 */
export function pendingEvent({ event, machine, satellite: { status } }: Observation): SeenEvent | undefined {
  if (event === undefined || status.machine?.answeredEvent === event.id) {
    return undefined;
  }
  const startedAtMs = Date.parse(machine?.launchedAt ?? "");
  return event.readAtMs < startedAtMs + LISTED_LATE_MS ? undefined : event;
}

/** What people are told of the event. Silent while no list of events was taken. */
export function eventCondition(o: Observation): ConditionChange[] {
  const event = pendingEvent(o);
  if (event !== undefined) {
    const untilMs = Date.parse(event.notBefore) - LEAD_MS;
    return [
      {
        type: "EventScheduled",
        status: "True",
        reason: reasonOf(event.code),
        message:
          `${event.machine} has the event ${event.code}, not before ${event.notBefore} (${event.description}); it is stopped ` +
          "and started again when nobody uses it, in the maintenance window where there is one, and at " +
          `${timestamp(new Date(untilMs))} at the latest`,
      },
    ];
  }
  const wasScheduled =
    findCondition(o.satellite.status.conditions, "EventScheduled")?.status === "True" && o.eventsKnown;
  return wasScheduled
    ? [
        {
          type: "EventScheduled",
          status: "False",
          reason: "NoEvent",
          message: "no event is scheduled any more",
        },
      ]
    : [];
}

/** `instance-retirement` as a reason: `InstanceRetirement`. */
function reasonOf(code: string): string {
  return code.replaceAll(/(?:^|-)([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}
