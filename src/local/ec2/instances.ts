import type { Clock } from "../../base/clock.ts";
import { Ec2ApiError } from "./api-error.ts";
import type { Instance } from "./instance.ts";
import type { RecordStore } from "./record-store.ts";
import { Records, type RecordKind } from "./records.ts";

/** How long a terminated instance stays visible: about an hour (EC2 user guide, "Terminate instances"). */
const TOMBSTONE_MS = 3_600_000;

const ID = /^i-(?:[0-9a-f]{8}|[0-9a-f]{17})$/;

/** What an instance is missing from: lists by filter or page, all that names it by ID, or both. */
export type HiddenFrom = "lists" | "descriptions" | "both";

const KIND: RecordKind<Instance> = {
  tokenOf: ({ zone, clientToken }) => (clientToken === undefined ? undefined : `${zone}/${clientToken}`),
  goneSince: ({ terminatedAt }) => terminatedAt,
  notFound: (ids) =>
    new Ec2ApiError(
      "InvalidInstanceID.NotFound",
      ids.length === 1
        ? `The instance ID '${ids[0]}' does not exist`
        : `The instance IDs '${ids.join(", ")}' do not exist`,
    ),
};

/** All instances of the account: the truth, what readers see of it, and what is kept on disk. */
export class Instances {
  readonly #clock: Clock;
  readonly #records: Records<Instance>;
  readonly #hidden = new Map<string, { readonly from: HiddenFrom; readonly untilMs: number }>();

  /** @param visibilityDelayMs how long the next change stays hidden from readers */
  constructor(clock: Clock, store: RecordStore<Instance>, visibilityDelayMs: () => number) {
    this.#clock = clock;
    this.#records = new Records(clock, store, visibilityDelayMs, KIND, (a, b) =>
      compare(a.launchTime, b.launchTime),
    );
  }

  /** Called with each instance that was added or changed. */
  set onChange(listener: (instance: Instance) => void) {
    this.#records.onChange = listener;
  }

  /** Adds an instance or replaces it. */
  put(instance: Instance): void {
    this.#records.put(instance);
  }

  /** Replaces some fields of an instance and returns the new record. */
  change(id: string, fields: Partial<Instance>): Instance {
    return this.#records.change(id, fields);
  }

  /** The instance as it is, visible or not. */
  truth(id: string): Instance {
    return this.#records.get(id);
  }

  has(id: string): boolean {
    return this.#records.has(id);
  }

  /** All instances as they are, long terminated ones included. */
  truths(): Instance[] {
    return this.#records.all();
  }

  /** The instance that this token launched in this zone. */
  byToken(zone: string, token: string): Instance | undefined {
    return this.#records.byToken(`${zone}/${token}`);
  }

  /** What readers of lists see now, oldest first. */
  visible(): Instance[] {
    return this.#records
      .visible()
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
    return this.#records.lookUp(
      ids,
      (instance) => !this.#isBuried(instance) && !this.isHidden(instance.id, "descriptions"),
    );
  }

  #isBuried(instance: Instance): boolean {
    return this.#records.goneForMs(instance) > TOMBSTONE_MS;
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
