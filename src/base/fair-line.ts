/**
 * Items that wait for something that all share, in groups (tenants, say). Groups take turns, so that one with a thousand
 * items delays another one's only item by one place; within a group the first comes first.
 */
export class FairLine<T> {
  /** Groups with items, the one whose turn it is first. */
  readonly #groups = new Map<string, Set<T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** How many items come before one that is added to a group now, if no others are. */
  ahead(group: string): number {
    const own = this.#groups.get(group)?.size ?? 0;
    let ahead = own;
    for (const [other, items] of this.#groups) {
      ahead += other === group ? 0 : Math.min(items.size, own + 1);
    }
    return ahead;
  }

  /** Adds an item at the end of its group; one that is there keeps its place. */
  add(item: T, group: string): void {
    let items = this.#groups.get(group);
    if (items === undefined) {
      items = new Set();
      this.#groups.set(group, items);
    }
    if (!items.has(item)) {
      items.add(item);
      this.#size += 1;
    }
  }

  /** Takes an item out. Returns whether it was there. */
  delete(item: T, group: string): boolean {
    const items = this.#groups.get(group);
    const wasThere = items?.delete(item) === true;
    if (wasThere) {
      this.#size -= 1;
    }
    if (items?.size === 0) {
      this.#groups.delete(group);
    }
    return wasThere;
  }

  /**
   * Takes the next item.
   *
   * @param mayTake groups that it says no to keep their items, and their turn
   * @returns undefined when nothing waits that may be taken
   */
  take(mayTake: (group: string) => boolean = () => true): T | undefined {
    for (const [group, items] of this.#groups) {
      if (!mayTake(group)) {
        continue;
      }
      for (const item of items) {
        this.delete(item, group);
        if (items.size > 0) {
          // Its turn is over: behind the others.
          this.#groups.delete(group);
          this.#groups.set(group, items);
        }
        return item;
      }
    }
    return undefined;
  }
}
