import { keyString } from "../kube/objects.ts";
import type { Machine } from "../machines/cloud.ts";
import { RETAINED_TAG } from "./decide-deletion.ts";

/** Tags that say whose a machine is (docs/ec2.md). */
const NAMESPACE_TAG = "satellites.dev/namespace";
const NAME_TAG = "satellites.dev/name";

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
    machine.tags[RETAINED_TAG] !== "true"
  );
}

/** "namespace/name" of the satellite that the machine is tagged with. */
export function ownerKey(machine: Machine): string | undefined {
  const namespace = machine.tags[NAMESPACE_TAG];
  const name = machine.tags[NAME_TAG];
  return namespace === undefined || name === undefined ? undefined : keyString({ namespace, name });
}
