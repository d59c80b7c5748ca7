import type { Machine } from "../../machines/cloud.ts";
import type { Satellite } from "../../satellite/types.ts";

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

/** What reads of the cloud have shown, and not shown. */
export interface Sightings {
  /** What EC2 does not show of what the status names, by ID. */
  absent?: Readonly<Record<string, Absence>>;
  /** Since when the machine has been seen in a state that contradicts `status.power`; monotonic ms. */
  contradictedSinceMs?: number;
}

interface Holder {
  readonly sightings: Sightings;
}

/** Reads that count as two are at least so far apart. */
const READ_APART_MS = 1000;

/** Takes note of what was seen, or not, of the machine or volume `id`. */
export function noteSighting({ sightings }: Holder, id: string, seen: Sighting, nowMs: number): void {
  const { [id]: known, ...others } = sightings.absent ?? {};
  if (seen.byID) {
    if (known !== undefined) {
      sightings.absent = others;
    }
    return;
  }
  const before = known ?? { sinceMs: nowMs, readAtMs: -Infinity, reads: 0, lastList: seen.lists };
  const counts = nowMs - before.readAtMs >= READ_APART_MS;
  const lastList = seen.inList ? seen.lists : before.lastList;
  sightings.absent = {
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

/** Running, says the status; not so, says the cloud: since when? One stale description is no proof. */
export function noteContradiction(
  { status }: Satellite,
  machine: Machine | undefined,
  { sightings }: Holder,
  nowMs: number,
): void {
  const contradicts =
    status.power.state === "Running" && (machine?.state === "stopping" || machine?.state === "stopped");
  if (!contradicts) {
    delete sightings.contradictedSinceMs;
  } else {
    sightings.contradictedSinceMs ??= nowMs;
  }
}
