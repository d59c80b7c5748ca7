import type { Clock } from "../base/clock.ts";
import { GrpcStatus } from "./engine.ts";
import { refusal, type Refusal } from "./refusal.ts";

/** How much one caller may ask of a router. */
export interface IdentityLimitOptions {
  /** Most requests of one caller held at a time. Default 2,000. */
  readonly maxHeld?: number;
  /** Wakes of one caller at once. Default 100. */
  readonly wakeBurst?: number;
  /** Wakes of one caller in the long run, per minute. Default 60. */
  readonly wakesPerMinute?: number;
}

/** {@link IdentityLimitOptions} with its defaults. */
export const DEFAULT_IDENTITY_LIMITS: Required<IdentityLimitOptions> = {
  maxHeld: 2_000,
  wakeBurst: 100,
  wakesPerMinute: 60,
};

/** Wakes that are left to a caller; what came back since `atMs` is still to be added. */
interface Allowance {
  readonly wakes: number;
  /** On the monotonic clock. */
  readonly atMs: number;
}

const MINUTE_MS = 60_000;
/** Allowances that are whole again are forgotten when there are more than this. */
const SWEEP_ABOVE = 1_000;

/**
 * Keeps one caller from taking everything: a token bucket of wakes, since each one costs the cloud's API rate limit that
 * all satellites share, and a bound on held requests. When more than half of the router's places are taken, no caller
 * may hold more than an equal share of them, so that there is always room for somebody new.
 */
export class IdentityLimits {
  readonly #options: Required<IdentityLimitOptions>;
  readonly #clock: Clock;
  readonly #places: number;
  readonly #held = new Map<string, number>();
  readonly #allowances = new Map<string, Allowance>();
  #total = 0;

  /** @param places requests that the router holds in all */
  constructor(options: Required<IdentityLimitOptions>, places: number, clock: Clock) {
    this.#options = options;
    this.#places = places;
    this.#clock = clock;
  }

  /**
   * Counts a request that is about to be held, until {@link leave}.
   *
   * @param wakes whether it will wake its satellite
   * @returns the refusal of one that is too much, which is not counted
   */
  enter(identity: string, wakes: boolean): Refusal | undefined {
    const held = this.#held.get(identity) ?? 0;
    if (held >= this.#maxHeld(held)) {
      return tooManyHeld(identity, held);
    }
    const waitMs = wakes ? this.#takeWake(identity) : 0;
    if (waitMs > 0) {
      return tooManyWakes(identity, this.#options, waitMs);
    }
    this.#held.set(identity, held + 1);
    this.#total += 1;
    return undefined;
  }

  /** Ends what {@link enter} counted. */
  leave(identity: string): void {
    const left = (this.#held.get(identity) ?? 1) - 1;
    this.#total -= 1;
    if (left > 0) {
      this.#held.set(identity, left);
    } else {
      this.#held.delete(identity);
    }
  }

  #maxHeld(held: number): number {
    const { maxHeld } = this.#options;
    if (this.#total < this.#places / 2) {
      return maxHeld;
    }
    const callers = this.#held.size + (held === 0 ? 1 : 0);
    return Math.min(maxHeld, Math.max(1, Math.floor(this.#places / (callers + 1))));
  }

  /** Takes one wake; else returns the milliseconds until there is one. */
  #takeWake(identity: string): number {
    const nowMs = this.#clock.monotonicMs();
    const wakes = this.#wakesLeft(this.#allowances.get(identity), nowMs);
    if (wakes < 1) {
      return Math.ceil(((1 - wakes) * MINUTE_MS) / this.#options.wakesPerMinute);
    }
    this.#allowances.delete(identity);
    this.#allowances.set(identity, { wakes: wakes - 1, atMs: nowMs });
    if (this.#allowances.size > SWEEP_ABOVE) {
      this.#sweep(nowMs);
    }
    return 0;
  }

  #wakesLeft(allowance: Allowance | undefined, nowMs: number): number {
    const { wakeBurst, wakesPerMinute } = this.#options;
    return allowance === undefined
      ? wakeBurst
      : Math.min(wakeBurst, allowance.wakes + ((nowMs - allowance.atMs) * wakesPerMinute) / MINUTE_MS);
  }

  /** Forgets from the front, where those are that were used longest ago, up to the first that is not whole again. */
  #sweep(nowMs: number): void {
    for (const [identity, allowance] of this.#allowances) {
      if (this.#wakesLeft(allowance, nowMs) < this.#options.wakeBurst) {
        return;
      }
      this.#allowances.delete(identity);
    }
  }
}

function tooManyHeld(identity: string, held: number): Refusal {
  return refusal(
    GrpcStatus.RESOURCE_EXHAUSTED,
    `${held} requests of ${JSON.stringify(identity)} wait for satellites already; let some of them end, or try again ` +
      "later. A router's bound is --max-held-per-identity, and an equal share when it is crowded",
    "TooManyHeldRequests",
  );
}

function tooManyWakes(
  identity: string,
  { wakesPerMinute }: Required<IdentityLimitOptions>,
  waitMs: number,
): Refusal {
  const answer = refusal(
    GrpcStatus.RESOURCE_EXHAUSTED,
    `${JSON.stringify(identity)} wakes satellites faster than ${wakesPerMinute} a minute; try again in ` +
      `${Math.ceil(waitMs / 1000)} s, or have the routers' --wakes-per-minute and --wake-burst raised`,
    "TooManyWakes",
  );
  // gRPC retry design (gRFC A6), "Server Pushback": clients with a retry policy wait so long by themselves.
  return { ...answer, metadata: [...answer.metadata, ["grpc-retry-pushback-ms", String(waitMs)]] };
}
