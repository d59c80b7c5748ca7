import type { Clock } from "../../base/clock.ts";
import type { Ec2ApiError } from "./api-error.ts";
import type { RecordStore } from "./record-store.ts";
import { Visibility } from "./visibility.ts";

/** How long the token of a record that is gone is remembered: EC2 keeps it for a day at least. */
const TOKEN_MEMORY_MS = 24 * 3_600_000;

/** What instances and volumes differ in as records. */
export interface RecordKind<T> {
  /** What the record's client token is remembered as; undefined without one. */
  tokenOf(record: T): string | undefined;
  /** Since when it is terminated or deleted, in ISO 8601; undefined while it exists. */
  goneSince(record: T): string | undefined;
  /** The error for records that are not there. */
  notFound(ids: readonly string[]): Ec2ApiError;
}

/**
 * The records of one kind: as they are, as readers see them, and as they are kept on disk. A record that is gone stays for a
 * day, so that its token is known.
 */
export class Records<T extends { readonly id: string }> {
  readonly #clock: Clock;
  readonly #store: RecordStore<T>;
  readonly #kind: RecordKind<T>;
  readonly #visibility: Visibility<T>;
  readonly #byId = new Map<string, T>();
  readonly #byToken = new Map<string, string>();
  /** Called with each record that was added or changed. */
  onChange: (record: T) => void = () => {};

  /**
   * @param visibilityDelayMs how long the next change stays hidden from readers, in milliseconds
   * @param order of the records that were kept
   */
  constructor(
    clock: Clock,
    store: RecordStore<T>,
    visibilityDelayMs: () => number,
    kind: RecordKind<T>,
    order: (a: T, b: T) => number,
  ) {
    this.#clock = clock;
    this.#store = store;
    this.#kind = kind;
    this.#visibility = new Visibility(clock, visibilityDelayMs);
    for (const record of store.load().sort(order)) {
      this.#index(record);
      this.#visibility.restore(record);
    }
  }

  /** Adds a record or replaces it. */
  put(record: T): void {
    this.#store.save(record);
    this.#index(record);
    this.#visibility.publish(record);
    this.onChange(record);
  }

  /** Replaces some fields of a record and returns the new one. */
  change(id: string, fields: Partial<T>): T {
    const changed = { ...this.get(id), ...fields };
    this.put(changed);
    return changed;
  }

  /** The record as it is, visible or not, gone or not. @throws Ec2ApiError */
  get(id: string): T {
    const record = this.#byId.get(id);
    if (record === undefined) {
      throw this.#kind.notFound([id]);
    }
    return record;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** All records as they are. */
  all(): T[] {
    this.#forgetOld();
    return [...this.#byId.values()];
  }

  /** The record that was made under this token. */
  byToken(token: string): T | undefined {
    this.#forgetOld();
    return this.#byId.get(this.#byToken.get(token) ?? "");
  }

  /** What readers see now, oldest first. */
  visible(): T[] {
    return this.#visibility.all();
  }

  /**
   * What readers see of these records now, each once.
   *
   * @param isSeen leaves out what readers do not see although it is visible
   * @throws Ec2ApiError that names every missing one
   */
  lookUp(ids: readonly string[], isSeen: (record: T) => boolean): T[] {
    const found = new Map<string, T>();
    for (const id of ids) {
      const record = this.#visibility.get(id);
      if (record !== undefined && isSeen(record)) {
        found.set(id, record);
      }
    }
    const missing = ids.filter((id) => !found.has(id));
    if (missing.length > 0) {
      throw this.#kind.notFound(missing);
    }
    return [...found.values()];
  }

  /** For how long the record has been gone, in milliseconds; 0 while it exists. */
  goneForMs(record: T): number {
    const since = this.#kind.goneSince(record);
    return since === undefined ? 0 : this.#clock.now().getTime() - Date.parse(since);
  }

  #index(record: T): void {
    this.#byId.set(record.id, record);
    const token = this.#kind.tokenOf(record);
    if (token !== undefined) {
      this.#byToken.set(token, record.id);
    }
  }

  #forgetOld(): void {
    for (const record of this.#byId.values()) {
      if (this.goneForMs(record) > TOKEN_MEMORY_MS) {
        this.#byId.delete(record.id);
        this.#byToken.delete(this.#kind.tokenOf(record) ?? "");
        this.#visibility.forget(record.id);
        this.#store.remove(record.id);
      }
    }
  }
}
