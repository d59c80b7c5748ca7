import type { SeenEvent } from "./host-events.ts";
import type { Observation } from "./observation.ts";

/** How long before the event a machine in use is stopped: time for draining, hibernation and the next start. */
export const LEAD_MS = 3_600_000;
/** How long a cloud may still list an event after the start that ended it. */
const LISTED_LATE_MS = 15 * 60_000;

/**
 * The event that the cloud has announced for the machine, where nothing was done about it yet. One that was read before or
 * shortly after the machine's last start concerns the host before.
 */
export function pendingEvent({ event, machine, satellite: { status } }: Observation): SeenEvent | undefined {
  if (event === undefined || status.machine?.answeredEvent === event.id) {
    return undefined;
  }
  const startedAtMs = Date.parse(machine?.launchedAt ?? "");
  return event.readAtMs < startedAtMs + LISTED_LATE_MS ? undefined : event;
}
