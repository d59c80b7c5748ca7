import { keyString } from "../kube/objects.ts";
import type { Machine } from "../machines/cloud.ts";
import { Tag } from "../machines/tags.ts";

/** What changed between two complete lists of machines. */
export interface MachineChanges {
  /** IDs whose state changed, and those that appeared or vanished. */
  readonly ids: ReadonlySet<string>;
}

/**
 * The cluster's machines as one complete list showed them last. It serves to notice drift, and to find the
 * machine of a satellite whose status was lost.
 */
export class MachineDirectory {
  #machines = new Map<string, Machine>();
  #byOwner = new Map<string, Machine>();
  #complete = false;

  /** Whether a complete list was ever taken; before that, absence proves nothing. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Takes a complete list and says what is different from the one before. */
  replace(machines: readonly Machine[]): MachineChanges {
    const before = this.#machines;
    this.#machines = new Map(machines.map((machine) => [machine.id, machine]));
    this.#byOwner = new Map();
    for (const machine of machines) {
      const owner = ownerKey(machine);
      if (owner !== undefined && isAlive(machine)) {
        this.#byOwner.set(owner, machine);
      }
    }
    this.#complete = true;
    const ids = new Set<string>();
    for (const id of new Set([...before.keys(), ...this.#machines.keys()])) {
      if (before.get(id)?.state !== this.#machines.get(id)?.state) {
        ids.add(id);
      }
    }
    return { ids };
  }

  /** A live machine that is tagged with the satellite's "namespace/name". */
  ownedBy(key: string): Machine | undefined {
    return this.#byOwner.get(key);
  }
}

/** Whether the machine exists and is meant to. */
export function isAlive(machine: Machine): boolean {
  return (
    machine.state !== "terminated" &&
    machine.state !== "shutting-down" &&
    machine.tags[Tag.retained] !== "true"
  );
}

/** "namespace/name" of the satellite that the machine is tagged with. */
export function ownerKey(machine: Machine): string | undefined {
  const namespace = machine.tags[Tag.namespace];
  const name = machine.tags[Tag.name];
  return namespace === undefined || name === undefined ? undefined : keyString({ namespace, name });
}
