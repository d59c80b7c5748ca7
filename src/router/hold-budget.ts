/** A held request's place. */
export interface HoldPlace {
  /** Gives it back; to be called once. */
  leave(): void;
}

interface Taken {
  readonly crowdOut: () => void;
  isLeft: boolean;
}

/** The places of one namespace: a stack, since the newest go first. Those that were left stay in it for a while. */
interface Holder {
  readonly stack: Taken[];
  size: number;
}

/** Stacks are swept when they hold more than twice what is taken, and this much more. */
const SWEEP_SLACK = 64;

/**
 * The router's places for held requests, shared by the namespaces of the satellites. Nothing is set aside: one namespace
 * may take all of them while nobody else needs one. When they are all taken, room is made for whoever holds less than the
 * largest holder: that one's newest request, which has waited least, gives way.
 */
export class HoldBudget {
  readonly #max: number;
  readonly #holders = new Map<string, Holder>();
  #taken = 0;

  /** @param max places in all */
  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Takes a place for a request to a satellite of `namespace`.
   *
   * @param crowdOut called when the place is needed for another; it must leave it at once
   * @returns undefined where all places are taken and this would be the newest of the largest holder
   */
  take(namespace: string, crowdOut: () => void): HoldPlace | undefined {
    if (this.#taken >= this.#max && !this.#makeRoom(namespace)) {
      return undefined;
    }
    const holder = this.#holders.get(namespace) ?? { stack: [], size: 0 };
    this.#holders.set(namespace, holder);
    const taken: Taken = { crowdOut, isLeft: false };
    holder.stack.push(taken);
    holder.size++;
    this.#taken++;
    return { leave: () => this.#leave(namespace, holder, taken) };
  }

  #leave(namespace: string, holder: Holder, taken: Taken): void {
    taken.isLeft = true;
    holder.size--;
    this.#taken--;
    if (holder.size === 0) {
      this.#holders.delete(namespace);
    } else if (holder.stack.length > 2 * holder.size + SWEEP_SLACK) {
      holder.stack.splice(0, holder.stack.length, ...holder.stack.filter(({ isLeft }) => !isLeft));
    }
  }

  /** @returns whether a place has become free */
  #makeRoom(namespace: string): boolean {
    let largest: Holder | undefined;
    for (const holder of this.#holders.values()) {
      if (holder.size > (largest?.size ?? 0)) {
        largest = holder;
      }
    }
    const size = (this.#holders.get(namespace)?.size ?? 0) + 1;
    if (largest === undefined || largest.size <= size) {
      return false;
    }
    let newest = largest.stack.pop();
    while (newest?.isLeft === true) {
      newest = largest.stack.pop();
    }
    newest?.crowdOut();
    return newest !== undefined;
  }
}
