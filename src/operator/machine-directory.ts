import { keyString } from "../kube/objects.ts";
import type { Machine } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";
import type { Satellite } from "../satellite/types.ts";

/** What changed between two complete lists of machines. */
export interface MachineChanges {
  /** IDs whose state or mark changed, and those that appeared or vanished. */
  readonly ids: ReadonlySet<string>;
  /** "namespace/name" of the satellites that these are tagged with. */
  readonly owners: ReadonlySet<string>;
}

/**
 * The cluster's machines as the last complete list showed them. By it changes from outside are noticed, and the machine of
 * a satellite whose status was lost is found.
 */
export class MachineDirectory {
  #machines = new Map<string, Machine>();
  #byOwner = new Map<string, Machine[]>();
  /** Those that run, by the class that they are tagged with; "" where they are tagged with none. */
  #running = new Map<string, Machine[]>();
  /** IDs of machines whose satellites have finished with them, whatever the last list shows. */
  readonly #forgotten = new Set<string>();
  /** Machines that satellites have left running when they were removed by force, until a list shows them. */
  readonly #left: Tagged[] = [];
  #lists = 0;
  #volumes: ReadonlySet<string> = new Set();
  #volumeLists = 0;

  /** Whether a complete list was ever taken; before that, absence proves nothing. */
  get complete(): boolean {
    return this.#lists > 0;
  }

  /** How many complete lists were taken. */
  get lists(): number {
    return this.#lists;
  }

  /** Takes a complete list and says what has changed since the one before. */
  replace(machines: readonly Machine[]): MachineChanges {
    const before = this.#machines;
    this.#machines = new Map(machines.map((machine) => [machine.id, machine]));
    this.#byOwner = new Map();
    this.#running = new Map();
    this.#forgotten.clear();
    this.#left.length = 0;
    for (const machine of machines) {
      const owner = ownerKey(machine);
      if (owner !== undefined && isAlive(machine)) {
        this.#byOwner.set(owner, [...(this.#byOwner.get(owner) ?? []), machine]);
        if (machine.state === "running" || machine.state === "pending") {
          const className = machine.tags[Tag.class] ?? "";
          this.#running.set(className, [...(this.#running.get(className) ?? []), machine]);
        }
      }
    }
    this.#lists += 1;
    const ids = new Set<string>();
    const owners = new Set<string>();
    for (const id of new Set([...before.keys(), ...this.#machines.keys()])) {
      const [then, now] = [before.get(id), this.#machines.get(id)];
      if (then?.state !== now?.state || then?.tags[Tag.orphanedAt] !== now?.tags[Tag.orphanedAt]) {
        ids.add(id);
        [then, now].forEach((machine) => machine !== undefined && owners.add(ownerKey(machine) ?? ""));
      }
    }
    owners.delete("");
    return { ids, owners };
  }

  /** IDs of the data volumes that the last complete list of them showed. */
  get volumes(): ReadonlySet<string> {
    return this.#volumes;
  }

  /** How many complete lists of data volumes were taken. */
  get volumeLists(): number {
    return this.#volumeLists;
  }

  /** Takes a complete list of data volumes. */
  replaceVolumes(ids: Iterable<string>): void {
    this.#volumes = new Set(ids);
    this.#volumeLists += 1;
  }

  /** The machine as the last list showed it. */
  get(id: string): Machine | undefined {
    return this.#machines.get(id);
  }

  /**
   * Machines that run and that no satellite names or is about to name. One that is tagged with no class counts for every
   * class.
   */
  unnamed(className: string, satellites: SatelliteFinder): Tagged[] {
    const listed = [className, ""].flatMap((name) => this.#running.get(name) ?? []);
    const left = this.#left.filter(
      ({ id, tags }) => tags[Tag.class] === className && !listed.some((one) => one.id === id),
    );
    return [...listed, ...left].filter(
      (machine) => !this.#forgotten.has(machine.id) && !isSomebodys(machine, satellites),
    );
  }

  /** Notes that a satellite has finished with its machine and is about to go. */
  forget(id: string): void {
    this.#forgotten.add(id);
  }

  /** Notes that a satellite is gone. Its machine may still run, where the finalizer was removed by force. */
  noteGone({ metadata, spec, status }: Satellite): void {
    const { machine, power } = status;
    if (machine !== undefined && power.state !== "Off") {
      const { namespace = "" } = metadata;
      this.#left.push({ id: machine.id, tags: { [Tag.namespace]: namespace, [Tag.class]: spec.className } });
    }
  }

  /**
   * A live machine that is tagged with the satellite's "namespace/name", but none that is kept aside (orphans.ts) unless a
   * person has offered it again.
   *
   * @param uid of the satellite; it may take up a machine of an earlier satellite of this name
   * @param offer value of {@link Tag.adoptableBy} that offers a machine to this satellite
   */
  ownedBy(key: string, uid: string, offer: string): Machine | undefined {
    const machines = this.#byOwner.get(key) ?? [];
    return (
      machines.find(({ tags }) => tags[Tag.adoptableBy] === offer) ??
      machines.findLast((machine) => !isKeptAside(machine, uid))
    );
  }

  /** Live machines of the satellite that are kept aside. */
  keptAside(key: string, uid: string): readonly Machine[] {
    return (this.#byOwner.get(key) ?? []).filter((machine) => isKeptAside(machine, uid));
  }
}

/** The satellites as they are known now. */
export interface SatelliteFinder {
  /** Those that name this machine. */
  readonly naming: (id: string) => readonly Satellite[];
  readonly get: (key: string) => Satellite | undefined;
}

/** A machine, with what tells whose it is. */
export type Tagged = Pick<Machine, "id" | "tags">;

function isSomebodys(machine: Tagged, { naming, get }: SatelliteFinder): boolean {
  if (naming(machine.id).length > 0) {
    return true;
  }
  const owner = get(ownerKey(machine) ?? "");
  if (owner === undefined || owner.metadata.uid !== machine.tags[Tag.uid]) {
    return false;
  }
  const { machine: own, replacement } = owner.status;
  return own === undefined || (replacement?.state === "Launching" && replacement.machine === undefined);
}

function isKeptAside({ tags }: Machine, uid: string): boolean {
  return tags[Tag.uid] === uid && (tags[Tag.orphanedAt] ?? "") !== "";
}

/** Whether the machine exists, is not being terminated, and is not one that was kept at a deletion. */
export function isAlive(machine: Machine): boolean {
  return (
    machine.state !== "terminated" &&
    machine.state !== "shutting-down" &&
    machine.tags[Tag.retained] !== "true"
  );
}

/** "namespace/name" of the satellite that the machine is tagged with. */
export function ownerKey(machine: Tagged): string | undefined {
  const namespace = machine.tags[Tag.namespace];
  const name = machine.tags[Tag.name];
  return namespace === undefined || name === undefined ? undefined : keyString({ namespace, name });
}
