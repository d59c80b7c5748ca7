import type { Change } from "./history.ts";
import type { JsonObject } from "./json.ts";

/** An object as the journal holds it. */
export interface JournalEntry {
  readonly collection: string;
  readonly key: string;
  /** Its resourceVersion. */
  readonly revision: number;
  /** The object as encoded for storage, without resourceVersion. */
  readonly stored: JsonObject;
}

/** Everything that a journal holds. */
export interface JournalContents {
  /** Newest revision ever committed. */
  readonly revision: number;
  readonly compactedRevision: number;
  readonly entries: readonly JournalEntry[];
  /** Changes after `compactedRevision`, oldest first. */
  readonly changes: readonly Change[];
}

/** One change to be made durable, with the object's new stored form; none when it is deleted. */
export interface JournalWrite {
  readonly change: Change;
  readonly stored?: JsonObject;
}

/** Where the store's state survives the process. */
export interface Journal {
  load(): JournalContents;
  /** Returns only when the change will survive a crash; throws when it cannot be written. */
  commit(write: JournalWrite): void;
  /** Drops the changes up to and including `revision`. */
  compact(revision: number): void;
  close(): void;
}

/** A journal that stores nothing: the state ends with the process. */
export function memoryJournal(): Journal {
  return {
    load: () => ({ revision: 0, compactedRevision: 0, entries: [], changes: [] }),
    commit: () => {},
    compact: () => {},
    close: () => {},
  };
}
