import type { Machine } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";
import type { Satellite } from "../satellite/types.ts";
import { isAlive } from "./machine-directory.ts";
import {
  lately,
  limited,
  markedAt,
  suspicionsOf,
  type OrphanFacts,
  type OrphanMemory,
  type OrphanSettings,
  type OrphanStep,
  type OrphanVerdict,
  type Suspect,
} from "./orphan-rules.ts";

/** So many machines may be stopped at once, however few there are. */
const STOPS_AT_LEAST = 10;

/** What may be done to a machine. */
export type MachineStepKind =
  /** Tags it, so that the time until termination survives a restart, and people can see it. */
  | "Mark"
  | "Stop"
  | "Terminate"
  /** Takes the tag away, since a satellite names it again. */
  | "Unmark";

type MachineStep = OrphanStep<Machine, MachineStepKind>;

/**
 * Finds machines that no satellite names: orphans, whose satellite is gone without its finalizer, and spare ones, beside
 * the machine that their satellite uses. A spare one may be a launch that landed late, or the machine that served the
 * satellite until reads did not show it any more; nothing tells which, so both are kept. Only machines with this cluster's
 * tag and a satellite's UID are ever judged. An empty list of machines proves only that something is wrong with it, and
 * clears every suspicion. Where there are no satellites at all, machines are stopped, later than otherwise, and never
 * terminated.
 *
 * They are tagged and stopped, with their memory where that can be kept, and terminated after `orphanKeptMs`; never more
 * than the shares of {@link OrphanSettings} allow.
 */
export function judgeOrphans(
  facts: OrphanFacts<Machine>,
  memory: OrphanMemory,
  settings: OrphanSettings,
): OrphanVerdict<Machine, MachineStepKind> {
  const { satellites, now, nowMs } = facts;
  const ours = facts.items.filter(
    (machine) => isAlive(machine) && machine.tags[Tag.cluster] === facts.cluster,
  );
  if (ours.length === 0) {
    return { steps: [], memory: { ...memory, suspicions: new Map() } };
  }
  const owners = new Owners(satellites, settings);
  const { suspicions, due } = suspicionsOf(ours, (machine) => owners.suspect(machine), memory, nowMs);
  const stepsOfDue = due.map(({ item, suspect }) => stepsFor(item, suspect.satellite, now, settings));
  const isEnd = (steps: readonly MachineStep[]): boolean => steps.some(({ kind }) => kind === "Terminate");
  const ends = satellites.length === 0 ? [] : stepsOfDue.filter(isEnd);
  const stops = stepsOfDue.filter((steps) => !isEnd(steps));
  const touched = lately(memory.touched, nowMs - settings.orphanWindowMs);
  const stopped = lately(memory.stopped, nowMs - settings.orphanWindowMs);
  const mostEnds = Math.max(1, Math.floor(ours.length * settings.orphanShare));
  const mostStops = Math.max(STOPS_AT_LEAST, Math.floor(ours.length * settings.orphanStopShare));
  const steps = [
    ...ours
      .filter((machine) => owners.names(machine) && markedAt(machine) !== undefined)
      .map((item) => ({ kind: "Unmark", item }) as const),
    ...limited(stops, stopped, mostStops, nowMs),
    ...limited(ends, touched, mostEnds, nowMs),
  ];
  return { steps, memory: { suspicions, touched, stopped } };
}

/** What to do to a machine that no satellite has named for long enough. */
function stepsFor(
  machine: Machine,
  satellite: Satellite | undefined,
  now: Date,
  settings: OrphanSettings,
): MachineStep[] {
  const marked = markedAt(machine);
  const step = (kind: MachineStepKind): MachineStep => ({
    kind,
    item: machine,
    ...(satellite === undefined ? {} : { satellite }),
  });
  const stop = machine.state === "running" ? [step("Stop")] : [];
  if (marked === undefined) {
    return [step("Mark"), ...stop];
  }
  const keptMs = now.getTime() - marked;
  // A machine whose guest hangs in its shutdown is ended with the others: clouds terminate in every state.
  const isDown = machine.state === "stopped" || machine.state === "stopping";
  return isDown && keptMs >= settings.orphanKeptMs ? [step("Terminate")] : stop;
}

/** The satellites, by everything that can make a machine theirs. */
class Owners {
  readonly #byUid = new Map<string, Satellite>();
  readonly #byMachine = new Map<string, Satellite>();
  readonly #byName = new Map<string, Satellite>();
  readonly #settings: OrphanSettings;

  constructor(satellites: readonly Satellite[], settings: OrphanSettings) {
    this.#settings = settings;
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

  /** Why a live machine of this cluster seems to belong to no satellite; `undefined` when it does, or may soon. */
  suspect({ id, tags, clientToken }: Machine): Suspect | undefined {
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
      const graceMs = this.#settings.spareGraceMs;
      return used === undefined || isReplacing
        ? undefined
        : { evidence: `spare beside ${used}`, graceMs, satellite };
    }
    const namesake = this.#byName.get(`${tags[Tag.namespace] ?? ""}/${tags[Tag.name] ?? ""}`);
    // A satellite restored from a backup takes its machine up again by name.
    const mayTakeIt = namesake !== undefined && namesake.status.machine === undefined;
    const { orphanWindowMs, orphanGraceMs } = this.#settings;
    const graceMs = this.#byUid.size === 0 ? orphanWindowMs : orphanGraceMs;
    return mayTakeIt ? undefined : { evidence: `orphan of ${uid}`, graceMs };
  }
}
