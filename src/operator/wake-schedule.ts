import { Cron } from "croner";
import { toError } from "../base/errors.ts";
import type { Satellite } from "../satellite/types.ts";

/** What `spec.wakeSchedule` says of a satellite that sleeps. */
export interface WakeTimes {
  /** A time to wake has come since it fell asleep. */
  readonly due: boolean;
  /** The next time after now, in milliseconds since 1970; Infinity when there is none. */
  readonly nextMs: number;
  /** What is wrong with the schedule. */
  readonly invalid?: string;
}

/** A time that was missed by more than this, because no operator ran, is left out: nobody waits for it any more. */
const LATE_MS = 3_600_000;

/**
 * Reads `spec.wakeSchedule` in the time zone of `spec.maintenance`, or UTC. Expressions have five fields: minute,
 * hour, day, month, weekday. Only times after it fell asleep count.
 */
export function wakeTimes({ metadata, spec, status }: Satellite, now: Date): WakeTimes {
  const asleepSince =
    status.power.state === "Stopping" ? status.power.since : (status.sleep?.since ?? status.power.since);
  const sinceMs = Math.max(
    Date.parse(asleepSince ?? metadata.creationTimestamp ?? "") || 0,
    now.getTime() - LATE_MS,
  );
  let due = false;
  let nextMs = Infinity;
  for (const expression of spec.wakeSchedule ?? []) {
    try {
      const cron = new Cron(expression, {
        timezone: spec.maintenance?.timeZone ?? "UTC",
        mode: "5-part",
        paused: true,
      });
      const first = cron.nextRun(new Date(sinceMs));
      due ||= first !== null && first.getTime() <= now.getTime();
      nextMs = Math.min(nextMs, cron.nextRun(now)?.getTime() ?? Infinity);
    } catch (error) {
      return { due: false, nextMs, invalid: `"${expression}": ${toError(error).message}` };
    }
  }
  return { due, nextMs };
}
