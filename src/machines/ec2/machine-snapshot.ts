import type { Clock } from "../../base/clock.ts";
import type { Machine } from "../cloud.ts";
import { Tag } from "../tags.ts";

/** When a read was sent; what it shows is not older. */
export interface ReadMark {
  /** On the monotonic clock. */
  readonly atMs: number;
  /** Order among reads and changes, since times can be equal. */
  readonly order: number;
}

interface Seen {
  readonly machine: Machine | undefined;
  readonly mark: ReadMark;
}

/** States of machines that are gone for good. */
const ENDED: ReadonlySet<string> = new Set(["shutting-down", "terminated"]);

/** What EC2 last said of each machine, so that one answer serves all who ask. */
export class MachineSnapshot {
  readonly #clock: Clock;
  readonly #seen = new Map<string, Seen>();
  /** Order of the last change of each machine. */
  readonly #changed = new Map<string, number>();
  /** Namespace that each machine is tagged with, for as long as it is known at all. */
  readonly #tenants = new Map<string, string>();
  #order = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Must be called right before a read is sent. */
  mark(): ReadMark {
    this.#order += 1;
    return { atMs: this.#clock.monotonicMs(), order: this.#order };
  }

  /**
   * The machine as last seen.
   *
   * @param maxAgeMs how old the read may be, in milliseconds; one of the same millisecond always counts as
   *   older than 0
   * @returns undefined when there is no read so fresh; else the machine, or `undefined` in its place when EC2
   *   did not know it
   */
  get(id: string, maxAgeMs: number): { readonly machine: Machine | undefined } | undefined {
    const seen = this.#seen.get(id);
    const isFresh = seen !== undefined && this.#clock.monotonicMs() - seen.mark.atMs < maxAgeMs;
    return isFresh ? seen : undefined;
  }

  /** Notes the result of a read, unless the machine was changed, or read again, after it was sent. */
  set(id: string, machine: Machine | undefined, mark: ReadMark): void {
    const newest = Math.max(this.#changed.get(id) ?? 0, this.#seen.get(id)?.mark.order ?? 0);
    if (mark.order >= newest) {
      this.#seen.set(id, { machine, mark });
    }
    this.#noteTenant(machine);
  }

  /** Any machine that existed at the last read. */
  any(): Machine | undefined {
    for (const { machine } of this.#seen.values()) {
      if (machine !== undefined && !ENDED.has(machine.state)) {
        return machine;
      }
    }
    return undefined;
  }

  /** Namespace of the machine, if its tags are known. */
  tenantOf(id: string): string | undefined {
    return this.#tenants.get(id);
  }

  #noteTenant(machine: Machine | undefined): void {
    const namespace = machine?.tags[Tag.namespace];
    if (machine !== undefined && namespace !== undefined) {
      this.#tenants.set(machine.id, namespace);
    }
  }

  /** Notes that the machine was changed just now: what was read before does not count any more. */
  changed(id: string, machine?: Machine): void {
    this.#noteTenant(machine);
    this.#order += 1;
    this.#seen.delete(id);
    this.#changed.set(id, this.#order);
  }

  /** Forgets all that was read so far. */
  clear(): void {
    this.#seen.clear();
  }

  /** Notes a complete list, and forgets older reads of machines that it lacks. */
  replace(machines: readonly Machine[], mark: ReadMark): void {
    for (const machine of machines) {
      this.set(machine.id, machine, mark);
    }
    const listed = new Set(machines.map(({ id }) => id));
    for (const [id, seen] of this.#seen) {
      if (seen.mark.order < mark.order && !listed.has(id)) {
        this.#seen.delete(id);
      }
    }
    for (const [id, order] of this.#changed) {
      if (order < mark.order) {
        this.#changed.delete(id);
      }
    }
    for (const id of this.#tenants.keys()) {
      if (!listed.has(id) && !this.#changed.has(id)) {
        this.#tenants.delete(id);
      }
    }
  }
}
