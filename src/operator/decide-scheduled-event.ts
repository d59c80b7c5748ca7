import { PowerReason } from "../satellite/power.ts";
import type { Action } from "./action.ts";
import { mayUpdateNow } from "./maintenance-window.ts";
import type { Observation } from "./observation.ts";
import { LEAD_MS, pendingEvent } from "./scheduled-event.ts";
import { beginStop } from "./stop-intent.ts";

/**
 * Stops a running machine, so that it is started on another host before its own is retired or rebooted: when nobody uses
 * it and changes may be made, and an hour before the event in any case. Each event is answered once: the intent to stop
 * names it.
 *
 * @returns `undefined` while there is nothing to do but wait
 */
export function decideScheduledEvent(observed: Observation): Action | undefined {
  const event = pendingEvent(observed);
  const { machine } = observed.satellite.status;
  if (event === undefined || machine === undefined) {
    return undefined;
  }
  const isDue = Date.parse(event.notBefore) - LEAD_MS <= observed.now.getTime();
  return isDue || (isUnused(observed) && mayUpdateNow(observed.satellite, observed.now))
    ? beginStop(observed, PowerReason.ScheduledEvent, { machine: { ...machine, answeredEvent: event.id } })
    : undefined;
}

/** No router may have streams open to it, and the guest says that it works on nothing. */
function isUnused({
  idleness,
  memory: {
    port: { probe },
  },
  satellite: { status },
}: Observation): boolean {
  return idleness.liveLeases.length === 0 && probe?.epoch === status.power.epoch && probe.runningWork === 0;
}
