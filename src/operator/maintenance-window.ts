import { parseDurationMs } from "../base/duration.ts";
import { Annotation, type SatelliteSpec } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;
const MINUTES_PER_DAY = 24 * 60;

/** Whether a change that touches the machine may be made now: always where there is no window, or an annotation asks for it. */
export function mayUpdateNow({ metadata, spec }: Satellite, now: Date): boolean {
  const isTold = metadata.annotations?.[Annotation.updateNow] === "true";
  return isTold || spec.maintenance === undefined || isInWindow(spec.maintenance, now);
}

/** Whether the IANA database has the time zone, which the CRD's schema cannot check. */
export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch (error) {
    if (error instanceof RangeError) {
      return false;
    }
    throw error;
  }
}

/**
 * Whether `now` is in a maintenance window: one that began today, or yesterday if it goes on past midnight. Days and times
 * are those of the window's time zone; a window in an unknown time zone never opens.
 */
export function isInWindow(window: NonNullable<SatelliteSpec["maintenance"]>, now: Date): boolean {
  if (!isTimeZone(window.timeZone)) {
    return false;
  }
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: window.timeZone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).formatToParts(now);
  const part = (type: string): string => parts.find((candidate) => candidate.type === type)?.value ?? "";
  const [startHour = 0, startMinute = 0] = window.start.split(":").map(Number);
  const sinceStart = Number(part("hour")) * 60 + Number(part("minute")) - startHour * 60 - startMinute;
  const durationMinutes = parseDurationMs(window.duration) / 60_000;
  const today = DAYS.findIndex((day) => day === part("weekday"));
  const opensOn = (day: number): boolean => {
    const name = DAYS[(day + 7) % 7];
    return window.days === undefined || (name !== undefined && window.days.includes(name));
  };
  return (
    (sinceStart >= 0 && sinceStart < durationMinutes && opensOn(today)) ||
    (sinceStart + MINUTES_PER_DAY < durationMinutes && sinceStart < 0 && opensOn(today - 1))
  );
}
