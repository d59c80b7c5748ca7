import type { MachineEvent } from "../machines/cloud.ts";

/** An event with the time at which it was read. */
export interface SeenEvent extends MachineEvent {
  /** Wall clock, milliseconds since 1970. */
  readonly readAtMs: number;
}

/** The events that the cloud has announced for machines, as the last complete list showed them. */
export class HostEvents {
  #byMachine = new Map<string, SeenEvent>();
  #known = false;

  /** Whether a complete list was ever taken; before that, absence proves nothing. */
  get known(): boolean {
    return this.#known;
  }

  /**
   * Takes a complete list.
   *
   * @returns IDs of the machines whose first event differs from that of the list before
   */
  replace(events: readonly MachineEvent[], now: Date): string[] {
    const before = this.#byMachine;
    this.#byMachine = new Map();
    for (const event of events) {
      const first = this.#byMachine.get(event.machine);
      if (first === undefined || Date.parse(event.notBefore) < Date.parse(first.notBefore)) {
        this.#byMachine.set(event.machine, { ...event, readAtMs: now.getTime() });
      }
    }
    this.#known = true;
    return [...new Set([...before.keys(), ...this.#byMachine.keys()])].filter((machine) => {
      const [was, is] = [before.get(machine), this.#byMachine.get(machine)];
      return was?.id !== is?.id || was?.notBefore !== is?.notBefore;
    });
  }

  /** The first event that is still to come for a machine. */
  of(machine: string | undefined): SeenEvent | undefined {
    return machine === undefined ? undefined : this.#byMachine.get(machine);
  }
}
