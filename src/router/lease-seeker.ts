import { backoffMs, type Random } from "../base/backoff.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { LeaseKeeper, LeaseOutcome } from "./lease-keeper.ts";

/** Options of {@link LeaseSeeker}. */
export interface LeaseSeekerOptions {
  readonly keeper: LeaseKeeper;
  readonly clock: Clock;
  readonly random: Random;
  readonly onOutcome: (outcome: LeaseOutcome) => void;
  /** Called when the pause after a failure is over. */
  readonly onRetry: () => void;
}

const RETRY = { baseMs: 100, maxMs: 5000 };

/** Takes the lease that held requests wait for: one attempt at a time, with growing pauses while it fails. */
export class LeaseSeeker {
  readonly #options: LeaseSeekerOptions;
  #isTaking = false;
  #pause: Timer | undefined;
  #failures = 0;

  constructor(options: LeaseSeekerOptions) {
    this.#options = options;
  }

  /** Whether an attempt is under way. */
  get isTaking(): boolean {
    return this.#isTaking;
  }

  /** Begins an attempt, unless one is under way or this is a pause. */
  seek(): void {
    if (!this.#isTaking && this.#pause === undefined) {
      this.#isTaking = true;
      void this.#take();
    }
  }

  /** Nobody waits for the lease any more; an attempt under way goes on. */
  rest(): void {
    this.#pause?.cancel();
    this.#pause = undefined;
    this.#failures = 0;
  }

  async #take(): Promise<void> {
    const { keeper, clock, random, onOutcome, onRetry } = this.#options;
    const outcome = await keeper.take();
    this.#isTaking = false;
    this.#failures = outcome.kind === "taken" ? 0 : this.#failures + 1;
    // Refused for the first time: what this router knew was old, and is new now.
    if (this.#failures > 1 || outcome.kind === "failed") {
      this.#pause = clock.setTimer(backoffMs(this.#failures - 1, RETRY, random), () => {
        this.#pause = undefined;
        onRetry();
      });
    }
    onOutcome(outcome);
  }
}
