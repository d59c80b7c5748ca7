import { Tag } from "../machines/tags.ts";
import type { Satellite } from "../satellite/types.ts";

/** Times and shares of orphan collection. */
export interface OrphanSettings {
  /** How long a machine must have belonged to nobody, in every list, before it is touched. Milliseconds. */
  readonly orphanGraceMs: number;
  /** The same for a machine whose satellite uses another one. Milliseconds. */
  readonly spareGraceMs: number;
  /** How long either is kept after that, for people to take it back, before it is terminated. Milliseconds. */
  readonly orphanKeptMs: number;
  /** The time that the two shares are counted in. Milliseconds. */
  readonly orphanWindowMs: number;
  /** Most of the cluster's machines, as a share, that are terminated within `orphanWindowMs`. One always may. */
  readonly orphanShare: number;
  /** Most of them that are tagged and stopped within that time, which can be undone. Ten always may. */
  readonly orphanStopShare: number;
}

/** Two complete lists, the satellites read after the items: machines, or data volumes. */
export interface OrphanFacts<Item> {
  /** UID of the cluster's kube-system namespace. */
  readonly cluster: string;
  readonly items: readonly Item[];
  readonly satellites: readonly Satellite[];
  readonly now: Date;
  /** Monotonic clock. */
  readonly nowMs: number;
}

/** Why an item seems to belong to no satellite. */
export interface Suspect {
  /** The reason; when it changes, the time begins again. */
  readonly evidence: string;
  /** How long every list must have said so before anything is done. Milliseconds. */
  readonly graceMs: number;
  /** Whose it was, where that one is still there and uses another. */
  readonly satellite?: Satellite;
}

/** What is remembered between two looks, by ID. */
export interface OrphanMemory {
  /** What each item is suspected for, and since when every list has said so. */
  readonly suspicions: ReadonlyMap<string, { readonly evidence: string; readonly sinceMs: number }>;
  /** When items were terminated lately; volumes: when they were touched at all. */
  readonly touched: ReadonlyMap<string, number>;
  /** When machines were tagged or stopped lately. */
  readonly stopped: ReadonlyMap<string, number>;
}

/** Before the first look. */
export const NO_MEMORY: OrphanMemory = { suspicions: new Map(), touched: new Map(), stopped: new Map() };

/** One thing to do to one item. */
export interface OrphanStep<Item, Kind extends string = string> {
  readonly kind: Kind;
  readonly item: Item;
  /** {@link Suspect.satellite}. */
  readonly satellite?: Satellite;
}

/** What is to be done after a look at both lists, and what to remember. */
export interface OrphanVerdict<Item, Kind extends string> {
  readonly steps: readonly OrphanStep<Item, Kind>[];
  readonly memory: OrphanMemory;
}

/** Who is suspected now, and who has been for long enough. */
export interface Suspicions<Item> {
  readonly suspicions: OrphanMemory["suspicions"];
  readonly due: readonly { readonly item: Item; readonly suspect: Suspect }[];
}

/** Goes on with the suspicions of earlier looks. At the first look nobody has been suspected for long enough. */
export function suspicionsOf<Item extends { readonly id: string }>(
  items: readonly Item[],
  suspectOf: (item: Item) => Suspect | undefined,
  memory: OrphanMemory,
  nowMs: number,
): Suspicions<Item> {
  const suspicions = new Map<string, { readonly evidence: string; readonly sinceMs: number }>();
  const due: { readonly item: Item; readonly suspect: Suspect }[] = [];
  for (const item of items) {
    const suspect = suspectOf(item);
    if (suspect === undefined) {
      continue;
    }
    const before = memory.suspicions.get(item.id);
    const sinceMs = before?.evidence === suspect.evidence ? before.sinceMs : nowMs;
    suspicions.set(item.id, { evidence: suspect.evidence, sinceMs });
    if (before !== undefined && nowMs - sinceMs >= suspect.graceMs) {
      due.push({ item, suspect });
    }
  }
  return { suspicions, due };
}

/** When the item was tagged as orphaned, in milliseconds since 1970; `undefined` when it was not. */
export function markedAt({ tags }: { readonly tags: Readonly<Record<string, string>> }): number | undefined {
  const atMs = Date.parse(tags[Tag.orphanedAt] ?? "");
  return Number.isNaN(atMs) ? undefined : atMs;
}

/** The steps for at most `most` items, those included that were touched lately; notes in `touched` whom they touch. */
export function limited<Step extends OrphanStep<{ readonly id: string }>>(
  due: readonly (readonly Step[])[],
  touched: Map<string, number>,
  most: number,
  nowMs: number,
): Step[] {
  const granted: Step[] = [];
  for (const steps of due) {
    const [first] = steps;
    if (first !== undefined && (touched.has(first.item.id) || touched.size < most)) {
      granted.push(...steps);
      touched.set(first.item.id, nowMs);
    }
  }
  return granted;
}

/** Those of `touched` that were touched after `sinceMs`. */
export function lately(touched: ReadonlyMap<string, number>, sinceMs: number): Map<string, number> {
  return new Map([...touched].filter(([, atMs]) => atMs > sinceMs));
}
