import { PowerReason } from "../satellite/power.ts";
import type { Action } from "./action.ts";
import { mayUpdateNow } from "./maintenance-window.ts";
import type { Observation } from "./observation.ts";
import { LEAD_MS, pendingEvent } from "./scheduled-event.ts";
import { beginStop } from "./stop-intent.ts";

/**
 * Stops a machine that runs, so that it is started on another host before its own is retired or rebooted: when
 * nobody uses it and changes may be made, and an hour before the event whoever uses it. Each event is answered once; the
 * write of the intent says so.
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

/** Neither a router may have streams on it, nor does the guest say that it works. */
function isUnused({
  idleness,
  memory: {
    port: { probe },
  },
  satellite: { status },
}: Observation): boolean {
  return idleness.liveLeases.length === 0 && probe?.epoch === status.power.epoch && probe.runningWork === 0;
}
