/**
 * An age in at most two units, as apimachinery's `duration.HumanDuration` writes it: "45s", "3m20s", "5h",
 * "2d4h", "3y12d".
 *
 * @param durationMs milliseconds
 */
export function humanDuration(durationMs: number): string {
  const seconds = Math.trunc(durationMs / 1000);
  if (seconds < -1) {
    return "<invalid>";
  }
  if (seconds < 0) {
    return "0s";
  }
  if (seconds < 120) {
    return `${seconds}s`;
  }
  const minutes = Math.trunc(seconds / 60);
  if (minutes < 10) {
    return twoUnits(minutes, "m", seconds % 60, "s");
  }
  if (minutes < 180) {
    return `${minutes}m`;
  }
  const hours = Math.trunc(minutes / 60);
  if (hours < 8) {
    return twoUnits(hours, "h", minutes % 60, "m");
  }
  if (hours < 48) {
    return `${hours}h`;
  }
  const days = Math.trunc(hours / 24);
  if (days < 8) {
    return twoUnits(days, "d", hours % 24, "h");
  }
  if (days < 365 * 2) {
    return `${days}d`;
  }
  const years = Math.trunc(days / 365);
  return years < 8 ? twoUnits(years, "y", days % 365, "d") : `${years}y`;
}

function twoUnits(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`;
}

/** Age of an RFC 3339 time at `now`; "<unknown>" when there is none. */
export function ageOf(time: string, now: Date): string {
  const since = Date.parse(time);
  return Number.isNaN(since) ? "<unknown>" : humanDuration(now.getTime() - since);
}
