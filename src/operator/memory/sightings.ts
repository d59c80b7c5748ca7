import type { Machine } from "../../machines/cloud.ts";
import type { Satellite } from "../../satellite/types.ts";

/**
 * The evidence that a machine or volume is gone which reads do not show. One missing read proves nothing: reads are eventually
 * consistent (EC2 API reference, "Eventual consistency"), and a terminated machine is still shown for about an hour (EC2 user
 * guide, "Terminate instances").
 */
export interface Absence {
  /** Since when every read by ID has lacked it; monotonic milliseconds. */
  readonly sinceMs: number;
  /** When the last of the reads that count was. */
  readonly readAtMs: number;
  /** How many reads that were some time apart have lacked it. */
  readonly reads: number;
  /** Number of the last complete list that showed it, or that was taken before it was first missing. */
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
  /** Machines and volumes that the status names and reads do not show, by ID. */
  absent?: Readonly<Record<string, Absence>>;
  /** Since when the machine has been seen in a state that contradicts `status.power`; monotonic ms. */
  contradictedSinceMs?: number;
}

interface Holder {
  readonly sightings: Sightings;
}

/** Reads that are less than this apart count as one. */
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

/** Notes since when the cloud describes a machine as stopped that should run. One stale description is no proof. */
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
