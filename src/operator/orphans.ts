import type { Machine } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";
import type { Satellite } from "../satellite/types.ts";
import { isAlive } from "./machine-directory.ts";

/** Times and shares that orphan collection goes by. */
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
  /** Most of them that are tagged and stopped within that time, which can be undone. {@link STOPS_AT_LEAST} always may. */
  readonly orphanStopShare: number;
}

/** So many machines may be stopped at once, however few there are. */
const STOPS_AT_LEAST = 10;

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
  /** An orphan belongs to no satellite; a spare one to a satellite that uses another machine. */
  readonly kind: "orphan" | "spare";
  /** What it rests on; when this changes the time counts anew. */
  readonly evidence: string;
  readonly sinceMs: number;
}

/** What is remembered between two looks. */
export interface OrphanMemory {
  readonly suspicions: ReadonlyMap<string, Suspicion>;
  /** When machines were terminated lately, by ID. */
  readonly touched: ReadonlyMap<string, number>;
  /** When machines were tagged or stopped lately, by ID. */
  readonly stopped: ReadonlyMap<string, number>;
}

/** One thing to do to one machine. */
export interface OrphanStep {
  readonly kind: /** Tags it, so that the time until termination survives a restart, and people can see it. */
    | "Mark"
    | "Stop"
    | "Terminate"
    /** A satellite names it again. */
    | "Unmark";
  readonly machine: Machine;
  /** Whose it was, where that one is still there and uses another. */
  readonly satellite?: Satellite;
}

/** What came of a look at both lists. */
export interface OrphanVerdict {
  readonly steps: readonly OrphanStep[];
  readonly memory: OrphanMemory;
}

/** Before the first look, and after one that proves nothing. */
export const NO_MEMORY: OrphanMemory = { suspicions: new Map(), touched: new Map(), stopped: new Map() };

/**
 * Finds machines that no satellite names: orphans, whose satellite is gone without its finalizer, and spare ones, beside
 * the machine that their satellite uses. A spare one may be a launch that landed late, or the machine that served the
 * satellite until EC2 showed it no more: nothing tells which, so that both are kept. Only machines with this cluster's tag
 * and a satellite's UID are ever judged. An empty list of machines proves nothing but that something is wrong with it, and
 * clears every suspicion; by an empty list of satellites machines are stopped, and later, but never terminated.
 *
 * They are tagged and stopped, with their memory where that can be, and terminated after `orphanKeptMs`; never more than
 * the shares of {@link OrphanSettings} allow.
 */
export function judgeOrphans(
  facts: OrphanFacts,
  memory: OrphanMemory,
  settings: OrphanSettings,
): OrphanVerdict {
  const ours = facts.machines.filter(
    (machine) => isAlive(machine) && machine.tags[Tag.cluster] === facts.cluster,
  );
  if (ours.length === 0) {
    return { steps: [], memory: { ...memory, suspicions: new Map() } };
  }
  const owners = new Owners(facts.satellites);
  const suspicions = new Map<string, Suspicion>();
  const due: OrphanStep[][] = [];
  const unmark: OrphanStep[] = [];
  for (const machine of ours) {
    const suspected = owners.suspect(machine);
    if (owners.names(machine) && markedAt(machine) !== undefined) {
      unmark.push({ kind: "Unmark", machine });
    }
    if (suspected === undefined) {
      continue;
    }
    const before = memory.suspicions.get(machine.id);
    const sinceMs =
      before?.kind === suspected.kind && before.evidence === suspected.evidence
        ? before.sinceMs
        : facts.nowMs;
    suspicions.set(machine.id, { kind: suspected.kind, evidence: suspected.evidence, sinceMs });
    const orphanGraceMs = facts.satellites.length === 0 ? settings.orphanWindowMs : settings.orphanGraceMs;
    const graceMs = suspected.kind === "orphan" ? orphanGraceMs : settings.spareGraceMs;
    if (before !== undefined && facts.nowMs - sinceMs >= graceMs) {
      due.push(stepsFor(machine, suspected.satellite, facts.now, settings));
    }
  }
  const sinceMs = facts.nowMs - settings.orphanWindowMs;
  const touched = lately(memory.touched, sinceMs);
  const stopped = lately(memory.stopped, sinceMs);
  const isEnd = (steps: readonly OrphanStep[]): boolean => steps.some(({ kind }) => kind === "Terminate");
  const ends = facts.satellites.length === 0 ? [] : due.filter(isEnd);
  const stops = due.filter((steps) => !isEnd(steps));
  const mostEnds = Math.max(1, Math.floor(ours.length * settings.orphanShare));
  const mostStops = Math.max(STOPS_AT_LEAST, Math.floor(ours.length * settings.orphanStopShare));
  const steps = [
    ...unmark,
    ...limit(stops, stopped, mostStops, facts.nowMs),
    ...limit(ends, touched, mostEnds, facts.nowMs),
  ];
  return { steps, memory: { suspicions, touched, stopped } };
}

/** What to do to a machine that no satellite names beyond doubt. */
function stepsFor(
  machine: Machine,
  satellite: Satellite | undefined,
  now: Date,
  settings: OrphanSettings,
): OrphanStep[] {
  const marked = markedAt(machine);
  const step = (kind: OrphanStep["kind"]): OrphanStep => ({
    kind,
    machine,
    ...(satellite === undefined ? {} : { satellite }),
  });
  const stop = machine.state === "running" ? [step("Stop")] : [];
  if (marked === undefined) {
    return [step("Mark"), ...stop];
  }
  const keptMs = now.getTime() - marked;
  // One whose guest hangs in its shutdown is ended with the others: EC2 terminates in every state.
  const isDown = machine.state === "stopped" || machine.state === "stopping";
  return isDown && keptMs >= settings.orphanKeptMs ? [step("Terminate")] : stop;
}

/** When the machine was tagged, in milliseconds since 1970; undefined when it was not. */
function markedAt(machine: Machine): number | undefined {
  const atMs = Date.parse(machine.tags[Tag.orphanedAt] ?? "");
  return Number.isNaN(atMs) ? undefined : atMs;
}

/** Steps for at most `most` machines, those included that were touched lately; notes whom they touch. */
function limit(
  due: readonly OrphanStep[][],
  touched: Map<string, number>,
  most: number,
  nowMs: number,
): OrphanStep[] {
  const granted: OrphanStep[] = [];
  for (const steps of due) {
    const [first] = steps;
    if (first !== undefined && (touched.has(first.machine.id) || touched.size < most)) {
      granted.push(...steps);
      touched.set(first.machine.id, nowMs);
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

  /** Whether a satellite names the machine. */
  names({ id }: Machine): boolean {
    return this.#byMachine.has(id);
  }

  /** What a live machine of this cluster is suspected of; undefined when it is somebody's, or may become so. */
  suspect({
    id,
    tags,
    clientToken,
  }: Machine): (Pick<Suspicion, "kind" | "evidence"> & { readonly satellite?: Satellite }) | undefined {
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
      return used === undefined || isReplacing ? undefined : { kind: "spare", evidence: used, satellite };
    }
    const namesake = this.#byName.get(`${tags[Tag.namespace] ?? ""}/${tags[Tag.name] ?? ""}`);
    // A satellite restored from a backup takes its machine up again by name.
    const mayTakeIt = namesake !== undefined && namesake.status.machine === undefined;
    return mayTakeIt ? undefined : { kind: "orphan", evidence: uid };
  }
}
