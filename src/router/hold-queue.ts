import type { Admission } from "./engine.ts";
import type { HoldBudget, HoldPlace } from "./hold-budget.ts";
import type { StreamUse } from "./open-streams.ts";

/** A request that waits for its satellite. */
export interface HeldRequest {
  readonly use: StreamUse;
  /** Header names that must not be forwarded. */
  readonly drop: ReadonlySet<string>;
  /** Answers it, and stops its timers and listeners; called once, by the queue. */
  readonly settle: (admission: Admission) => void;
}

/** Options of {@link HoldQueue}. */
export interface HoldQueueOptions {
  /** Whose share of the budget the requests count in. */
  readonly namespace: string;
  /** Most requests held for this satellite. */
  readonly max: number;
  /** Shared by all satellites. */
  readonly budget: HoldBudget;
  /** Called with a request that must make room for another namespace's; it must be settled at once. */
  readonly onCrowdedOut: (request: HeldRequest) => void;
  /** Called with +1 and -n, after the change. */
  readonly onChange: (change: number) => void;
}

/** The requests held for one satellite, in the order in which they came. */
export class HoldQueue {
  readonly #options: HoldQueueOptions;
  readonly #requests = new Map<HeldRequest, HoldPlace>();

  constructor(options: HoldQueueOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#requests.size;
  }

  /** The request that has waited for longest. */
  get oldest(): HeldRequest | undefined {
    const [first] = this.#requests.keys();
    return first;
  }

  /** @returns false where there is no place for it */
  add(request: HeldRequest): boolean {
    const { namespace, max, budget, onCrowdedOut, onChange } = this.#options;
    if (this.#requests.size >= max) {
      return false;
    }
    const place = budget.take(namespace, () => onCrowdedOut(request));
    if (place === undefined) {
      return false;
    }
    this.#requests.set(request, place);
    onChange(1);
    return true;
  }

  /** Ends one request's wait; does nothing when it has ended already. */
  settle(request: HeldRequest, admission: Admission): void {
    const place = this.#requests.get(request);
    if (place !== undefined) {
      this.#requests.delete(request);
      place.leave();
      this.#options.onChange(-1);
      request.settle(admission);
    }
  }

  /** Ends the wait of all, together and in order. */
  settleAll(admissionFor: (request: HeldRequest) => Admission): void {
    const chosen = [...this.#requests];
    this.#requests.clear();
    for (const [, place] of chosen) {
      place.leave();
    }
    if (chosen.length > 0) {
      this.#options.onChange(-chosen.length);
    }
    for (const [request] of chosen) {
      request.settle(admissionFor(request));
    }
  }
}
