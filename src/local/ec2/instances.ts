import type { Clock } from "../../base/clock.ts";
import { Ec2ApiError } from "./api-error.ts";
import type { Instance } from "./instance.ts";
import type { RecordStore } from "./record-store.ts";
import { Visibility } from "./visibility.ts";

/** How long a terminated instance stays visible: about an hour (EC2 user guide, "Terminate instances"). */
const TOMBSTONE_MS = 3_600_000;
/** How long a token is remembered after that: EC2 keeps it for a day at least. */
const TOKEN_MEMORY_MS = 24 * 3_600_000;

const ID = /^i-(?:[0-9a-f]{8}|[0-9a-f]{17})$/;

/** What an instance is missing from: lists by filter or page, all that names it by ID, or both. */
export type HiddenFrom = "lists" | "descriptions" | "both";

/** All instances of the account: the truth, what readers see of it, and what is kept on disk. */
export class Instances {
  readonly #clock: Clock;
  readonly #store: RecordStore<Instance>;
  readonly #visibility: Visibility<Instance>;
  readonly #byId = new Map<string, Instance>();
  readonly #byToken = new Map<string, string>();
  readonly #hidden = new Map<string, { readonly from: HiddenFrom; readonly untilMs: number }>();
  /** Called with each instance that was added or changed. */
  onChange: (instance: Instance) => void = () => {};

  /** @param visibilityDelayMs how long the next change stays hidden from readers */
  constructor(clock: Clock, store: RecordStore<Instance>, visibilityDelayMs: () => number) {
    this.#clock = clock;
    this.#store = store;
    this.#visibility = new Visibility(clock, visibilityDelayMs);
    for (const instance of store.load().sort((a, b) => compare(a.launchTime, b.launchTime))) {
      this.#index(instance);
      this.#visibility.restore(instance);
    }
  }

  /** Adds an instance or replaces it. */
  put(instance: Instance): void {
    this.#store.save(instance);
    this.#index(instance);
    this.#visibility.publish(instance);
    this.onChange(instance);
  }

  /** Replaces some fields of an instance and returns the new record. */
  change(id: string, fields: Partial<Instance>): Instance {
    const changed = { ...this.truth(id), ...fields };
    this.put(changed);
    return changed;
  }

  /** The instance as it is, visible or not. */
  truth(id: string): Instance {
    const instance = this.#byId.get(id);
    if (instance === undefined) {
      throw notFound([id]);
    }
    return instance;
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** All instances as they are, long terminated ones included. */
  truths(): Instance[] {
    this.#forgetOld();
    return [...this.#byId.values()];
  }

  /** The instance that this token launched in this zone. */
  byToken(zone: string, token: string): Instance | undefined {
    this.#forgetOld();
    const id = this.#byToken.get(`${zone}/${token}`);
    return id === undefined ? undefined : this.#byId.get(id);
  }

  /** What readers of lists see now, oldest first. */
  visible(): Instance[] {
    return this.#visibility
      .all()
      .filter((instance) => !this.#isBuried(instance) && !this.isHidden(instance.id, "lists"));
  }

  /** Lets an instance be missing from reads for `forMs` milliseconds, although it is there. */
  hide(id: string, from: HiddenFrom, forMs: number): void {
    this.truth(id);
    this.#hidden.set(id, { from, untilMs: this.#clock.monotonicMs() + forMs });
  }

  /** Whether such reads lack the instance now. */
  isHidden(id: string, from: Exclude<HiddenFrom, "both">): boolean {
    const hidden = this.#hidden.get(id);
    const isOver = hidden === undefined || hidden.untilMs <= this.#clock.monotonicMs();
    return !isOver && (hidden.from === from || hidden.from === "both");
  }

  /**
   * What readers see of these instances now.
   *
   * @throws Ec2ApiError `InvalidInstanceID.Malformed`, or `InvalidInstanceID.NotFound` that names every
   *   missing one
   */
  lookUp(ids: readonly string[]): Instance[] {
    const malformed = ids.find((id) => !ID.test(id));
    if (malformed !== undefined) {
      throw new Ec2ApiError("InvalidInstanceID.Malformed", `Invalid id: "${malformed}"`);
    }
    const found = new Map<string, Instance>();
    for (const id of ids) {
      const instance = this.#visibility.get(id);
      if (instance !== undefined && !this.#isBuried(instance) && !this.isHidden(id, "descriptions")) {
        found.set(id, instance);
      }
    }
    const missing = ids.filter((id) => !found.has(id));
    if (missing.length > 0) {
      throw notFound(missing);
    }
    return [...found.values()];
  }

  #index(instance: Instance): void {
    this.#byId.set(instance.id, instance);
    if (instance.clientToken !== undefined) {
      this.#byToken.set(`${instance.zone}/${instance.clientToken}`, instance.id);
    }
  }

  #isBuried(instance: Instance): boolean {
    return this.#terminatedForMs(instance) > TOMBSTONE_MS;
  }

  #terminatedForMs(instance: Instance): number {
    return instance.terminatedAt === undefined
      ? 0
      : this.#clock.now().getTime() - Date.parse(instance.terminatedAt);
  }

  #forgetOld(): void {
    for (const instance of this.#byId.values()) {
      if (this.#terminatedForMs(instance) > TOKEN_MEMORY_MS) {
        this.#byId.delete(instance.id);
        this.#byToken.delete(`${instance.zone}/${instance.clientToken ?? ""}`);
        this.#visibility.forget(instance.id);
        this.#store.remove(instance.id);
      }
    }
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function notFound(ids: readonly string[]): Ec2ApiError {
  return new Ec2ApiError(
    "InvalidInstanceID.NotFound",
    ids.length === 1
      ? `The instance ID '${ids[0]}' does not exist`
      : `The instance IDs '${ids.join(", ")}' do not exist`,
  );
}
