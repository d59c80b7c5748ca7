import { silentLogger, type Logger } from "../../telemetry/logger.ts";
import { History, type Change } from "./history.ts";
import type { Journal } from "./journal.ts";
import { asObject, equalJson, sortKeys, type JsonObject } from "./json.ts";

/** An object of the store. Never mutated: a change puts a new record in its place. */
export interface StoredRecord {
  readonly key: string;
  readonly revision: number;
  /** As encoded for storage: no resourceVersion, no defaults that came later. */
  readonly stored: JsonObject;
  /** As clients read it: with resourceVersion, and with the defaults that its type applies when reading. */
  readonly object: JsonObject;
}

/** Called for each committed change, in order. */
export type ChangeListener = (change: Change) => void;

/** Makes a stored object what clients read: pruning and defaulting, by collection. Must not change its input. */
export type ReadTransform = (collection: string, stored: JsonObject) => JsonObject;

/** Options of {@link Store}. */
export interface StoreOptions {
  readonly journal: Journal;
  /** Default: what is stored is what is read. */
  readonly read?: ReadTransform;
  /** How many changes watches can go back. Default 10,000. */
  readonly historyLimit?: number;
  /** Default: silent. */
  readonly logger?: Logger;
}

/**
 * The objects of all collections under one global revision, as in etcd: each committed change takes the next
 * revision, which becomes the object's resourceVersion. Calls are synchronous and therefore atomic; a
 * write returns after its journal made it durable.
 */
export class Store {
  readonly #journal: Journal;
  readonly #read: ReadTransform;
  readonly #history: History;
  readonly #logger: Logger;
  readonly #collections = new Map<string, Map<string, StoredRecord>>();
  readonly #listeners = new Set<ChangeListener>();
  #revision: number;
  #journalCompacted: number;

  constructor(options: StoreOptions) {
    this.#journal = options.journal;
    this.#logger = options.logger ?? silentLogger;
    this.#read = options.read ?? ((_collection, stored) => stored);
    const contents = options.journal.load();
    // Revision 0 means "any" to clients, so the first state is revision 1.
    this.#revision = Math.max(1, contents.revision);
    this.#journalCompacted = contents.compactedRevision;
    this.#history = new History(options.historyLimit ?? 10_000, contents.compactedRevision);
    for (const { collection, key, revision, stored } of contents.entries) {
      this.#records(collection).set(key, this.#record(collection, key, revision, stored));
    }
    for (const change of contents.changes) {
      this.#history.append(change);
    }
  }

  /** The newest revision. */
  get revision(): number {
    return this.#revision;
  }

  /** Whether the state at `revision` and the changes after it are known. */
  covers(revision: number): boolean {
    return this.#history.covers(revision);
  }

  /** Names of the collections that have ever held an object. */
  collections(): string[] {
    return [...this.#collections.keys()];
  }

  /** One object, or undefined. */
  get(collection: string, key: string): StoredRecord | undefined {
    return this.#collections.get(collection)?.get(key);
  }

  /** How many objects a collection holds. */
  count(collection: string): number {
    return this.#collections.get(collection)?.size ?? 0;
  }

  /** The objects of a collection as they are now, in order of their keys. */
  list(collection: string): JsonObject[] {
    return inKeyOrder(this.#collections.get(collection) ?? new Map<string, StoredRecord>());
  }

  /**
   * The objects of a collection as they were at `revision`: today's, with the later changes undone.
   * Only for revisions that {@link covers} allows.
   */
  listAt(collection: string, revision: number): JsonObject[] {
    const later = this.#history.since(revision).filter((change) => change.collection === collection);
    if (later.length === 0) {
      return this.list(collection);
    }
    const objects = new Map<string, { readonly object: JsonObject }>(this.#collections.get(collection));
    for (const change of later.toReversed()) {
      if (change.previous === undefined) {
        objects.delete(change.key);
      } else {
        objects.set(change.key, { object: change.previous });
      }
    }
    return inKeyOrder(objects);
  }

  /** Adds an object that must not exist yet. The caller has checked that. */
  create(collection: string, key: string, object: JsonObject): StoredRecord {
    return this.#put("ADDED", collection, key, object);
  }

  /**
   * Replaces an object. A write that would leave the stored form as it is changes nothing and does not move
   * the revision.
   */
  update(collection: string, key: string, object: JsonObject): StoredRecord {
    const current = this.get(collection, key);
    if (current !== undefined && equalJson(current.stored, toStored(object))) {
      return current;
    }
    return this.#put("MODIFIED", collection, key, object);
  }

  /**
   * Removes an object.
   *
   * @returns that last state with the resourceVersion of the deletion; undefined when there is no such object
   */
  remove(collection: string, key: string): JsonObject | undefined {
    const current = this.get(collection, key);
    if (current === undefined) {
      return undefined;
    }
    const revision = this.#revision + 1;
    const object = withRevision(current.object, revision);
    this.#commit({ revision, type: "DELETED", collection, key, object, previous: current.object });
    return object;
  }

  /** The changes after `revision`, oldest first; only for revisions that {@link covers} allows. */
  changesSince(revision: number): readonly Change[] {
    return this.#history.since(revision);
  }

  /** Calls `listener` for each change from now on; returns how to stop. */
  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Forgets the changes up to and including `revision` (default: all), as etcd's compaction does. */
  compact(revision: number = this.#revision): void {
    this.#history.compact(Math.min(revision, this.#revision));
    this.#compactJournal();
  }

  /** Closes the journal. */
  close(): void {
    this.#journal.close();
  }

  #put(type: "ADDED" | "MODIFIED", collection: string, key: string, object: JsonObject): StoredRecord {
    const revision = this.#revision + 1;
    const record = this.#record(collection, key, revision, toStored(object));
    const previous = this.get(collection, key)?.object;
    this.#commit(
      {
        revision,
        type,
        collection,
        key,
        object: record.object,
        ...(previous === undefined ? {} : { previous }),
      },
      record,
    );
    return record;
  }

  #commit(change: Change, record?: StoredRecord): void {
    this.#journal.commit({ change, ...(record === undefined ? {} : { stored: record.stored }) });
    // The change is durable now; memory follows.
    this.#revision = change.revision;
    const records = this.#records(change.collection);
    if (record === undefined) {
      records.delete(change.key);
    } else {
      records.set(change.key, record);
    }
    this.#history.append(change);
    for (const listener of this.#listeners) {
      listener(change);
    }
    if (this.#history.compactedRevision > this.#journalCompacted) {
      this.#compactJournal();
    }
  }

  /** Drops from the journal what memory no longer holds. If that fails the journal holds more, and the next change tries again. */
  #compactJournal(): void {
    const { compactedRevision } = this.#history;
    try {
      this.#journal.compact(compactedRevision);
      this.#journalCompacted = compactedRevision;
    } catch (error) {
      this.#logger.warn("The oldest changes cannot be dropped from the state's file yet", { error });
    }
  }

  #record(collection: string, key: string, revision: number, stored: JsonObject): StoredRecord {
    return { key, revision, stored, object: withRevision(this.#read(collection, stored), revision) };
  }

  #records(collection: string): Map<string, StoredRecord> {
    let records = this.#collections.get(collection);
    if (records === undefined) {
      records = new Map();
      this.#collections.set(collection, records);
    }
    return records;
  }
}

/** etcd keys end in "/<namespace>/<name>"; lists come in their byte order. */
function inKeyOrder(objects: ReadonlyMap<string, { readonly object: JsonObject }>): JsonObject[] {
  return [...objects].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, { object }]) => object);
}

/** The form that is written: keys in order, without the resourceVersion (it is the revision). */
function toStored(object: JsonObject): JsonObject {
  const { resourceVersion: _dropped, ...metadata } = asObject(object["metadata"]);
  return sortKeys({ ...object, metadata });
}

function withRevision(object: JsonObject, revision: number): JsonObject {
  return sortKeys({
    ...object,
    metadata: { ...asObject(object["metadata"]), resourceVersion: String(revision) },
  });
}
