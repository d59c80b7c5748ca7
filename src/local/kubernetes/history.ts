import type { JsonObject } from "./json.ts";

/** What happened to an object. */
export type ChangeType = "ADDED" | "MODIFIED" | "DELETED";

/** One committed change. */
export interface Change {
  /** The store's revision after the change; the object's resourceVersion. */
  readonly revision: number;
  readonly type: ChangeType;
  /** Collection, as `group/plural`. */
  readonly collection: string;
  /** Key of the object within its collection. */
  readonly key: string;
  /** The object after the change; for DELETED its last state, with the revision of the deletion. */
  readonly object: JsonObject;
  /** The object before the change; absent for ADDED. */
  readonly previous?: JsonObject;
}

/**
 * The changes that are still kept: a window that ends at the newest revision. Older ones are compacted, and a
 * request for them is answered `410 Expired`, as with etcd.
 */
export class History {
  readonly #limit: number;
  #changes: Change[] = [];
  #compactedRevision: number;

  /**
   * @param limit how many changes to keep
   * @param compactedRevision revision up to which changes are no longer known
   */
  constructor(limit: number, compactedRevision: number) {
    this.#limit = limit;
    this.#compactedRevision = compactedRevision;
  }

  /** Changes up to and including this revision are gone. */
  get compactedRevision(): number {
    return this.#compactedRevision;
  }

  /** Adds the newest change and drops the oldest ones beyond the limit. */
  append(change: Change): void {
    this.#changes.push(change);
    // Dropped in blocks, so that an append costs constant time on average.
    if (this.#changes.length > this.#limit + Math.ceil(this.#limit / 4)) {
      this.#compactTo(this.#changes[this.#changes.length - this.#limit - 1]?.revision ?? 0);
    }
  }

  /** Forgets the changes up to and including `revision`. */
  compact(revision: number): void {
    this.#compactTo(revision);
  }

  /** Whether the state at `revision` and the changes after it are known. */
  covers(revision: number): boolean {
    return revision >= this.#compactedRevision;
  }

  /** The changes after `revision`, oldest first. Only meaningful when {@link covers} holds. */
  since(revision: number): readonly Change[] {
    let low = 0;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#changes[middle]?.revision ?? 0) <= revision) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return this.#changes.slice(low);
  }

  #compactTo(revision: number): void {
    this.#changes = [...this.since(revision)];
    this.#compactedRevision = Math.max(this.#compactedRevision, revision);
  }
}
