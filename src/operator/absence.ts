import type { Memory, Observation } from "./observation.ts";
import type { OperatorSettings } from "./settings.ts";

/**
 * What speaks for a machine or volume being gone that EC2 does not show. EC2 shows a terminated machine for about an hour
 * (EC2 user guide, "Terminate instances"), and its reads are eventually consistent (EC2 API reference, "Eventual
 * consistency"): one that is missing from a read may be there all the same.
 */
export interface Absence {
  /** Since when every read by ID has lacked it; monotonic milliseconds. */
  readonly sinceMs: number;
  /** When the last of the reads that count was. */
  readonly readAtMs: number;
  /** How many reads that were some time apart have lacked it. */
  readonly reads: number;
  /** Number of the last complete list that showed it, or that was taken before it was missed. */
  readonly lastList: number;
  /** How many complete lists have lacked it since. */
  readonly lists: number;
}

/** What one look has shown of a machine or volume. */
export interface Sighting {
  /** Whether a read by its ID has shown it. */
  readonly byID: boolean;
  /** Whether the last complete list has shown it. */
  readonly inList: boolean;
  /** How many complete lists were taken so far. */
  readonly lists: number;
}

/** Reads that count as two are at least so far apart. */
const READ_APART_MS = 1000;
/** A proof is made of so many reads by ID, and so many complete lists. */
const READS = 5;
const LISTS = 2;
/** How long one is missing before it is said. */
const SAID_AFTER_MS = 10_000;
const SHORTEST_POLL_MS = 500;
const LONGEST_POLL_MS = 15_000;

/** Takes note of what was seen, or not, of the machine or volume `id`. */
export function noteSighting(memory: Memory, id: string, seen: Sighting, nowMs: number): void {
  const { [id]: known, ...others } = memory.absent ?? {};
  if (seen.byID) {
    if (known !== undefined) {
      memory.absent = others;
    }
    return;
  }
  const before = known ?? { sinceMs: nowMs, readAtMs: -Infinity, reads: 0, lastList: seen.lists };
  const counts = nowMs - before.readAtMs >= READ_APART_MS;
  const lastList = seen.inList ? seen.lists : before.lastList;
  memory.absent = {
    ...others,
    [id]: {
      sinceMs: before.sinceMs,
      readAtMs: counts ? nowMs : before.readAtMs,
      reads: before.reads + (counts ? 1 : 0),
      lastList,
      lists: seen.lists - lastList,
    },
  };
}

/**
 * Whether it is proved that a machine or volume is gone that no read shows: several reads by its ID and several complete
 * lists over `missingMs` have lacked it, and no router has a stream on it.
 */
export function isGone(
  { memory, nowMs, idleness }: Pick<Observation, "memory" | "nowMs" | "idleness">,
  id: string,
  settings: OperatorSettings,
): boolean {
  const absence = memory.absent?.[id];
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
  const missingMs = nowMs - (memory.absent?.[id]?.sinceMs ?? nowMs);
  return Math.min(LONGEST_POLL_MS, Math.max(SHORTEST_POLL_MS, missingMs / 4));
}

/** ID of the machine or volume that EC2 has not shown for long enough to say so. */
export function missing({ satellite: { status }, memory, nowMs }: Observation): string | undefined {
  const named = [status.machine?.id, status.volume?.id];
  return named.find(
    (id) => id !== undefined && nowMs - (memory.absent?.[id]?.sinceMs ?? Infinity) >= SAID_AFTER_MS,
  );
}
