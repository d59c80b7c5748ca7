import type { Machine } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";
import type { Satellite } from "../satellite/types.ts";
import { isAlive } from "./machine-directory.ts";

/** Times and shares that orphan collection goes by. */
export interface OrphanSettings {
  /** How long a machine must have belonged to nobody, in every list, before it is touched. Milliseconds. */
  readonly orphanGraceMs: number;
  /** How long a duplicate must have been one before it is terminated. Milliseconds. */
  readonly duplicateGraceMs: number;
  /** How long an orphan stays stopped, for people to object, before it is terminated. Milliseconds. */
  readonly orphanKeptMs: number;
  /** Most of the cluster's machines, as a share, that are touched within `orphanGraceMs`. One always may. */
  readonly orphanShare: number;
}

/** Two complete lists, the satellites read after the machines. */
export interface OrphanFacts {
  /** UID of the cluster's kube-system namespace. */
  readonly cluster: string;
  readonly machines: readonly Machine[];
  readonly satellites: readonly Satellite[];
  readonly now: Date;
  /** Monotonic clock. */
  readonly nowMs: number;
}

/** What a machine is suspected of, and since when every list has said so. */
export interface Suspicion {
  /** An orphan belongs to no satellite; a duplicate to one that uses another machine. */
  readonly kind: "orphan" | "duplicate";
  /** What it rests on; when this changes the time counts anew. */
  readonly evidence: string;
  readonly sinceMs: number;
}

/** What is remembered between two looks. */
export interface OrphanMemory {
  readonly suspicions: ReadonlyMap<string, Suspicion>;
  /** When orphans were touched lately, by ID. */
  readonly touched: ReadonlyMap<string, number>;
}

/** One thing to do to one machine. */
export type OrphanStep =
  /** Tags it as an orphan, so that the time until termination survives a restart. */
  | { readonly kind: "Mark"; readonly machine: Machine }
  | { readonly kind: "Stop"; readonly machine: Machine }
  | { readonly kind: "Terminate"; readonly machine: Machine; readonly satellite?: Satellite }
  /** It belongs to a satellite again. */
  | { readonly kind: "Unmark"; readonly machine: Machine };

/** What came of a look at both lists. */
export interface OrphanVerdict {
  readonly steps: readonly OrphanStep[];
  readonly memory: OrphanMemory;
}

/** Before the first look, and after one that proves nothing. */
export const NO_MEMORY: OrphanMemory = { suspicions: new Map(), touched: new Map() };

/**
 * Finds machines that nobody uses: orphans, whose satellite is gone without its finalizer, and duplicates, which
 * a launch that landed late left beside the machine in use. Only machines with this cluster's tag and a
 * satellite's UID are ever judged. An empty list of machines or satellites proves nothing but that something is
 * wrong with the list, and clears every suspicion.
 *
 * Orphans are tagged, stopped, and terminated after `orphanKeptMs`; never more than `orphanShare` of the machines
 * within `orphanGraceMs`. Duplicates hold nothing that anyone could have used, and are terminated.
 */
export function judgeOrphans(
  facts: OrphanFacts,
  memory: OrphanMemory,
  settings: OrphanSettings,
): OrphanVerdict {
  const ours = facts.machines.filter(
    (machine) => isAlive(machine) && machine.tags[Tag.cluster] === facts.cluster,
  );
  if (ours.length === 0 || facts.satellites.length === 0) {
    return { steps: [], memory: { suspicions: new Map(), touched: memory.touched } };
  }
  const owners = new Owners(facts.satellites);
  const suspicions = new Map<string, Suspicion>();
  const due: OrphanStep[] = [];
  const unmark: OrphanStep[] = [];
  for (const machine of ours) {
    const suspected = owners.suspect(machine);
    if (suspected === undefined) {
      if (markedAt(machine) !== undefined) {
        unmark.push({ kind: "Unmark", machine });
      }
      continue;
    }
    const before = memory.suspicions.get(machine.id);
    const sinceMs =
      before?.kind === suspected.kind && before.evidence === suspected.evidence
        ? before.sinceMs
        : facts.nowMs;
    suspicions.set(machine.id, { kind: suspected.kind, evidence: suspected.evidence, sinceMs });
    const graceMs = suspected.kind === "orphan" ? settings.orphanGraceMs : settings.duplicateGraceMs;
    if (before === undefined || facts.nowMs - sinceMs < graceMs) {
      continue;
    }
    const step =
      suspected.kind === "duplicate"
        ? ({ kind: "Terminate", machine, satellite: suspected.satellite } as const)
        : orphanStep(machine, facts.now, settings);
    if (step !== undefined) {
      due.push(step);
    }
  }
  const touched = lately(memory.touched, facts.nowMs - settings.orphanGraceMs);
  const most = Math.max(1, Math.floor(ours.length * settings.orphanShare));
  return { steps: [...unmark, ...limit(due, touched, most, facts.nowMs)], memory: { suspicions, touched } };
}

/** The next thing to do to a machine that is an orphan beyond doubt. */
function orphanStep(machine: Machine, now: Date, settings: OrphanSettings): OrphanStep | undefined {
  const marked = markedAt(machine);
  if (marked === undefined) {
    return { kind: "Mark", machine };
  }
  if (machine.state === "running") {
    return { kind: "Stop", machine };
  }
  const keptMs = now.getTime() - marked;
  // One whose guest hangs in its shutdown is ended with the others: EC2 terminates in every state.
  const isDown = machine.state === "stopped" || machine.state === "stopping";
  return isDown && keptMs >= settings.orphanKeptMs ? { kind: "Terminate", machine } : undefined;
}

/** When the machine was tagged as an orphan, in milliseconds since 1970; undefined when it was not. */
function markedAt(machine: Machine): number | undefined {
  const atMs = Date.parse(machine.tags[Tag.orphanedAt] ?? "");
  return Number.isNaN(atMs) ? undefined : atMs;
}

/** Steps for at most `most` machines, those included that were touched lately; notes whom they touch. */
function limit(
  due: readonly OrphanStep[],
  touched: Map<string, number>,
  most: number,
  nowMs: number,
): OrphanStep[] {
  const granted: OrphanStep[] = [];
  let duplicates = 0;
  for (const step of due) {
    const { id } = step.machine;
    const isDuplicate = step.kind === "Terminate" && step.satellite !== undefined;
    if (isDuplicate ? duplicates++ < most : touched.has(id) || touched.size < most) {
      granted.push(step);
      if (!isDuplicate) {
        touched.set(id, nowMs);
      }
    }
  }
  return granted;
}

/** Those of `touched` that were so after `sinceMs`. */
export function lately(touched: ReadonlyMap<string, number>, sinceMs: number): Map<string, number> {
  return new Map([...touched].filter(([, atMs]) => atMs > sinceMs));
}

/** The satellites by everything that a machine can be theirs by. */
class Owners {
  readonly #byUid = new Map<string, Satellite>();
  readonly #byMachine = new Map<string, Satellite>();
  readonly #byName = new Map<string, Satellite>();

  constructor(satellites: readonly Satellite[]) {
    for (const satellite of satellites) {
      const { metadata, status } = satellite;
      this.#byUid.set(metadata.uid ?? "", satellite);
      this.#byName.set(`${metadata.namespace ?? ""}/${metadata.name}`, satellite);
      for (const used of [status.machine, status.replacement?.machine, status.retired]) {
        if (used !== undefined) {
          this.#byMachine.set(used.id, satellite);
        }
      }
    }
  }

  /** What a live machine of this cluster is suspected of; undefined when it is somebody's, or may become so. */
  suspect({
    id,
    tags,
    clientToken,
  }: Machine):
    | { readonly kind: "orphan"; readonly evidence: string }
    | { readonly kind: "duplicate"; readonly evidence: string; readonly satellite: Satellite }
    | undefined {
    const uid = tags[Tag.uid] ?? "";
    if (uid === "" || this.#byMachine.has(id)) {
      return undefined;
    }
    const satellite = this.#byUid.get(uid);
    if (satellite !== undefined) {
      const { machine, replacement, launch } = satellite.status;
      const used = machine?.id;
      // Its ID is about to be written.
      const isReplacing = replacement?.state === "Launching" && clientToken === launch?.token;
      return used === undefined || isReplacing ? undefined : { kind: "duplicate", evidence: used, satellite };
    }
    const namesake = this.#byName.get(`${tags[Tag.namespace] ?? ""}/${tags[Tag.name] ?? ""}`);
    // A satellite restored from a backup takes its machine up again by name.
    const mayTakeIt = namesake !== undefined && namesake.status.machine === undefined;
    return mayTakeIt ? undefined : { kind: "orphan", evidence: uid };
  }
}
