import type { Observation } from "./observation.ts";
import type { OperatorSettings } from "./settings.ts";

/** Reads by ID, and complete lists, that must have lacked a machine before it counts as gone. */
const READS = 5;
const LISTS = 2;
/** How long it is missing before people are told. */
const SAID_AFTER_MS = 10_000;
const SHORTEST_POLL_MS = 500;
const LONGEST_POLL_MS = 15_000;

/**
 * Whether a machine or volume counts as gone: for `missingMs` several reads by its ID and several complete lists have
 * lacked it, and no router has a stream open to it.
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

/** Milliseconds until the next look for a missing machine or volume: few at first, since most are back at once. */
export function missingPollMs({ memory, nowMs }: Pick<Observation, "memory" | "nowMs">, id: string): number {
  const missingMs = nowMs - (memory.sightings.absent?.[id]?.sinceMs ?? nowMs);
  return Math.min(LONGEST_POLL_MS, Math.max(SHORTEST_POLL_MS, missingMs / 4));
}

/** ID of the satellite's machine or volume, where it has been missing for long enough to tell people. */
export function missingID({ satellite: { status }, memory, nowMs }: Observation): string | undefined {
  const named = [status.machine?.id, status.volume?.id];
  return named.find(
    (id) => id !== undefined && nowMs - (memory.sightings.absent?.[id]?.sinceMs ?? Infinity) >= SAID_AFTER_MS,
  );
}
