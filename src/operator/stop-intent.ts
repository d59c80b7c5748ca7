import { parseDurationMs } from "../base/duration.ts";
import { PowerReason } from "../satellite/power.ts";
import type { Action, Announcement, StopReason } from "./action.ts";
import { isToBeReplacedNext } from "./image-update.ts";
import type { Observation } from "./observation.ts";
import { hibernationOf } from "./older-status.ts";
import { movePower, renderStatus, type StatusChange } from "./render-status.ts";
import { pendingSize } from "./size.ts";
import { secondsOf } from "./usage.ts";

/**
 * Writes the intent to stop before any call. Where there are live leases, it is a drain: from this write on no lease can be
 * taken, and the call waits until the routers have let their streams end.
 */
export function beginStop(
  observed: Observation,
  why: StopReason = PowerReason.DesiredOff,
  change: Pick<StatusChange, "health" | "machine" | "recoveries" | "replacement"> = {},
): Action {
  const { power, usage } = observed.satellite.status;
  const ran = power.state === "Running" ? secondsOf(observed, power.since) : 0;
  const draining = why === PowerReason.DesiredOff && observed.idleness.liveLeases.length > 0;
  const reason = draining ? PowerReason.Draining : why;
  const hibernate = why !== PowerReason.Unreachable && mayHibernate(observed);
  return {
    kind: "WriteStatus",
    status: renderStatus(observed, {
      power: movePower(observed, "Stopping", reason, { sleepKind: hibernate ? "Hibernate" : "Stop" }),
      usage: { ...usage, runningSeconds: (usage?.runningSeconds ?? 0) + ran },
      // It has been of use, so failures before that do not count any more.
      ...(power.state === "Running" ? { attempts: undefined } : {}),
      ...change,
    }),
    announce: announcementOf(observed, draining, hibernate, why),
  };
}

function announcementOf(
  { satellite: { spec } }: Observation,
  draining: boolean,
  hibernate: boolean,
  why: StopReason,
): Announcement {
  const how = hibernate ? "hibernate" : "stop";
  if (why === PowerReason.ScheduledEvent) {
    const message = `stopping the machine (${how}) and starting it on another host, since its host has a scheduled event`;
    return { type: "Normal", reason: why, message };
  }
  return draining
    ? { type: "Normal", reason: "Draining", message: `waiting up to ${spec.drainTimeout} for open streams` }
    : { type: "Normal", reason: "Sleeping", message: `putting the machine to sleep (${how})` };
}

/** Whether the machine's memory may be kept when it is stopped. */
export function mayHibernate(observed: Observation): boolean {
  return (
    observed.satellite.spec.sleepMode === "Hibernate" &&
    observed.machine?.hibernationConfigured === true &&
    hibernationOf(observed.satellite.status)?.trouble !== "Refused" &&
    pendingSize(observed) === undefined &&
    !isToBeReplacedNext(observed)
  );
}

/**
 * Milliseconds until the call may be sent: routers with live leases have drainTimeout to say that they have drained this
 * epoch (docs/decisions/0017). 0 when all have.
 */
export function drainingMs(observed: Observation): number {
  const { power } = observed.satellite.status;
  if (observed.idleness.liveLeases.every((lease) => lease.drainedEpoch === power.epoch)) {
    return 0;
  }
  const untilMs = Date.parse(power.since ?? "") + parseDurationMs(observed.satellite.spec.drainTimeout);
  return Math.max(0, untilMs - observed.now.getTime());
}
