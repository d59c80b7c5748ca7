import type { Admission } from "./engine.ts";

/** A request that waits for its satellite. */
export interface HeldRequest {
  /** When it came, on the monotonic clock. */
  readonly arrivedAtMs: number;
  /** Whether it may only wait for a lease, never for a wake. */
  readonly mayWake: boolean;
  /** Header names that must not be forwarded. */
  readonly drop: ReadonlySet<string>;
  /** Ends the wait. Stops the request's timers and listeners; called once, by the queue. */
  readonly settle: (admission: Admission) => void;
}

/** Bounds on held requests over all satellites of a router. */
export class HoldBudget {
  readonly #max: number;
  #held = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get isSpent(): boolean {
    return this.#held >= this.#max;
  }

  change(by: number): void {
    this.#held += by;
  }
}

/** The requests held for one satellite, in the order in which they came. */
export class HoldQueue {
  readonly #requests = new Set<HeldRequest>();
  readonly #max: number;
  readonly #budget: HoldBudget;
  readonly #onChange: (change: number) => void;

  /**
   * @param max most requests held for this satellite
   * @param budget shared by all satellites
   * @param onChange called with +1 and -n, after the change
   */
  constructor(max: number, budget: HoldBudget, onChange: (change: number) => void) {
    this.#max = max;
    this.#budget = budget;
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#requests.size;
  }

  get isFull(): boolean {
    return this.#requests.size >= this.#max || this.#budget.isSpent;
  }

  add(request: HeldRequest): void {
    this.#requests.add(request);
    this.#budget.change(1);
    this.#onChange(1);
  }

  /** Ends one request's wait; does nothing when it has ended already. */
  settle(request: HeldRequest, admission: Admission): void {
    if (this.#requests.delete(request)) {
      this.#budget.change(-1);
      this.#onChange(-1);
      request.settle(admission);
    }
  }

  /** Ends the wait of all that match, together and in order. */
  settleAll(
    admissionFor: (request: HeldRequest) => Admission,
    matches: (request: HeldRequest) => boolean = () => true,
  ): void {
    const chosen = [...this.#requests].filter(matches);
    for (const request of chosen) {
      this.#requests.delete(request);
    }
    if (chosen.length > 0) {
      this.#budget.change(-chosen.length);
      this.#onChange(-chosen.length);
    }
    for (const request of chosen) {
      request.settle(admissionFor(request));
    }
  }
}
