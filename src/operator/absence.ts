import type { Observation } from "./observation.ts";
import type { OperatorSettings } from "./settings.ts";

/** A proof is made of so many reads by ID, and so many complete lists. */
const READS = 5;
const LISTS = 2;
/** How long one is missing before it is said. */
const SAID_AFTER_MS = 10_000;
const SHORTEST_POLL_MS = 500;
const LONGEST_POLL_MS = 15_000;

/**
 * Whether it is proved that a machine or volume is gone that no read shows: several reads by its ID and several complete
 * lists over `missingMs` have lacked it, and no router has a stream on it.
 */
export function isGone(
  { memory, nowMs, idleness }: Pick<Observation, "memory" | "nowMs" | "idleness">,
  id: string,
  settings: OperatorSettings,
): boolean {
  const absence = memory.sightings.absent?.[id];
  return (
    absence !== undefined &&
    nowMs - absence.sinceMs >= settings.missingMs &&
    absence.reads >= READS &&
    absence.lists >= LISTS &&
    !idleness.liveLeases.some(({ openStreams }) => openStreams > 0)
  );
}

/** When to look again for what is missing: soon at first, since it is mostly back at once. */
export function missingPollMs({ memory, nowMs }: Pick<Observation, "memory" | "nowMs">, id: string): number {
  const missingMs = nowMs - (memory.sightings.absent?.[id]?.sinceMs ?? nowMs);
  return Math.min(LONGEST_POLL_MS, Math.max(SHORTEST_POLL_MS, missingMs / 4));
}

/** ID of the machine or volume that EC2 has not shown for long enough to say so. */
export function missing({ satellite: { status }, memory, nowMs }: Observation): string | undefined {
  const named = [status.machine?.id, status.volume?.id];
  return named.find(
    (id) => id !== undefined && nowMs - (memory.sightings.absent?.[id]?.sinceMs ?? Infinity) >= SAID_AFTER_MS,
  );
}
