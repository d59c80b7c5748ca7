import { timestamp } from "../../satellite/conditions.ts";
import { LEAD_MS, pendingEvent } from "../scheduled-event.ts";
import { no, yes, type Rendering, type Said } from "./condition-row.ts";

/** The event that the cloud has announced for the machine. Says nothing before a list of events was taken. */
export function eventScheduled({ observed, shown }: Rendering): Said | undefined {
  const event = pendingEvent(observed);
  if (event !== undefined) {
    const untilMs = Date.parse(event.notBefore) - LEAD_MS;
    return yes(
      reasonOf(event.code),
      `${event.machine} has the event ${event.code}, not before ${event.notBefore} (${event.description}); it is stopped ` +
        "and started again when nobody uses it, in the maintenance window where there is one, and at " +
        `${timestamp(new Date(untilMs))} at the latest`,
    );
  }
  return shown?.status === "True" && observed.eventsKnown
    ? no("NoEvent", "no event is scheduled any more")
    : undefined;
}

/** The cloud's name of an event as a reason: `host-retirement` as `HostRetirement`. */
function reasonOf(code: string): string {
  return code.replaceAll(/(?:^|-)([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}
