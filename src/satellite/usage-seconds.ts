import type { Satellite } from "./types.ts";

/** How long a satellite was awake and asleep since it was made, in seconds; the stretch that goes on now counts. */
export function usageSeconds(
  { status: { power, sleep, usage } }: Pick<Satellite, "status">,
  now: Date,
): { readonly awake: number; readonly asleep: number } {
  const runsOn = power?.state === "Running" ? secondsSince(power.since, now) : 0;
  return {
    awake: (usage?.runningSeconds ?? 0) + runsOn,
    asleep: (usage?.asleepSeconds ?? 0) + secondsSince(sleep?.since, now),
  };
}

function secondsSince(time: string | undefined, now: Date): number {
  const ms = now.getTime() - Date.parse(time ?? "");
  return Number.isNaN(ms) ? 0 : Math.max(0, ms / 1000);
}
