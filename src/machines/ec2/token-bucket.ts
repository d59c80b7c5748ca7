import { backoffMs, type Random } from "../../base/backoff.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import { FairLine } from "../../base/fair-line.ts";

/** A token bucket: how much it holds, and what flows in each second. */
export interface BucketSize {
  readonly burst: number;
  readonly refillPerSecond: number;
}

/** What one action may use: requests, and for some actions the instances that they name. */
export interface ActionLimit {
  readonly requests: BucketSize;
  readonly resources?: BucketSize;
}

/** Which calls go first when tokens are short. */
export const PRIORITIES = ["wake", "sleep", "housekeeping"] as const;

/** Why a call is made. */
export type Priority = (typeof PRIORITIES)[number];

interface Waiter {
  readonly wanted: () => number;
  readonly admit: (resources: number) => void;
}

const THROTTLED_BACKOFF = { baseMs: 1_000, maxMs: 30_000, jitter: 0.5 };

class Level {
  readonly #size: BucketSize;
  #tokens: number;

  constructor(size: BucketSize) {
    this.#size = size;
    this.#tokens = size.burst;
  }

  refill(elapsedMs: number): void {
    this.#tokens = Math.min(this.#size.burst, this.#tokens + (elapsedMs / 1000) * this.#size.refillPerSecond);
  }

  get refillPerSecond(): number {
    return this.#size.refillPerSecond;
  }

  /** Whole tokens. What rounding may have lost is added first. */
  get whole(): number {
    return Math.floor(this.#tokens + 1e-6);
  }

  take(tokens: number): void {
    this.#tokens -= tokens;
  }

  drain(): void {
    this.#tokens = Math.min(this.#tokens, 0);
  }

  /** Milliseconds until there is one whole token. */
  get waitMs(): number {
    return this.whole >= 1 ? 0 : ((1 - this.#tokens) / this.#size.refillPerSecond) * 1000;
  }
}

/**
 * The client side of EC2's request throttling (EC2 developer guide, "Request throttling for the Amazon EC2 API"): calls wait
 * here for a token rather than being refused there. Waiters of a higher priority go first; within one priority tenants take
 * turns, so that none uses up what all share. EC2 may refuse a request all the same, since others use the account's buckets,
 * too: that empties this bucket and closes it for a growing, jittered time.
 */
export class TokenBucket {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #requests: Level;
  readonly #resources: Level | undefined;
  readonly #waiting: Readonly<Record<Priority, FairLine<Waiter>>> = {
    wake: new FairLine(),
    sleep: new FairLine(),
    housekeeping: new FairLine(),
  };
  #filledAtMs: number;
  #closedUntilMs = Number.NEGATIVE_INFINITY;
  #refusals = 0;
  #timer: Timer | undefined;

  constructor(limit: ActionLimit, clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
    this.#requests = new Level(limit.requests);
    this.#resources = limit.resources === undefined ? undefined : new Level(limit.resources);
    this.#filledAtMs = clock.monotonicMs();
  }

  /**
   * Waits for one request.
   *
   * @param wanted asked when the turn has come: how many resources the request would name, at least 1
   * @param tenant on whose behalf, where it is for one tenant
   * @param patienceMs how long it waits at most; default: for as long as it takes
   * @returns how many it may name: as many as wanted, or fewer when resource tokens are short, at least 1; 0 when its turn has not
   * come in time, and at once when so many stand before it that it cannot
   */
  take(priority: Priority, wanted: () => number, tenant = "", patienceMs?: number): Promise<number> {
    if (patienceMs !== undefined && this.#isTooLong(this.#waiting[priority].ahead(tenant), patienceMs)) {
      return Promise.resolve(0);
    }
    return new Promise((resolve) => {
      let timer: Timer | undefined;
      const waiter: Waiter = {
        wanted,
        admit: (resources) => {
          timer?.cancel();
          resolve(resources);
        },
      };
      const line = this.#waiting[priority];
      if (patienceMs !== undefined) {
        timer = this.#clock.setTimer(patienceMs, () => {
          line.delete(waiter, tenant);
          resolve(0);
        });
      }
      line.add(waiter, tenant);
      this.#serve();
    });
  }

  /** Takes note that EC2 refused a request for being one too many. */
  refused(): void {
    this.#refill();
    this.#requests.drain();
    this.#closedUntilMs =
      this.#clock.monotonicMs() + backoffMs(this.#refusals, THROTTLED_BACKOFF, this.#random);
    this.#refusals += 1;
    this.#serve();
  }

  /** Takes note that EC2 admitted a request. */
  admitted(): void {
    this.#refusals = 0;
  }

  /** Whether more wait than are let through in that time. */
  #isTooLong(ahead: number, patienceMs: number): boolean {
    return ahead > (patienceMs / 1000) * this.#requests.refillPerSecond;
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#requests.refill(nowMs - this.#filledAtMs);
    this.#resources?.refill(nowMs - this.#filledAtMs);
    this.#filledAtMs = nowMs;
  }

  #serve(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#refill();
    while (this.#waitMs() <= 0) {
      const waiter = this.#next();
      if (waiter === undefined) {
        return;
      }
      const wanted = Math.max(1, waiter.wanted());
      const resources = Math.min(wanted, this.#resources?.whole ?? wanted);
      this.#requests.take(1);
      this.#resources?.take(resources);
      waiter.admit(resources);
    }
    if (PRIORITIES.some((priority) => this.#waiting[priority].size > 0)) {
      // At least one millisecond: a clock that counts whole ones would not move for less.
      this.#timer = this.#clock.setTimer(Math.max(1, this.#waitMs()), () => this.#serve());
    }
  }

  #waitMs(): number {
    return Math.max(
      this.#closedUntilMs - this.#clock.monotonicMs(),
      this.#requests.waitMs,
      this.#resources?.waitMs ?? 0,
    );
  }

  #next(): Waiter | undefined {
    for (const priority of PRIORITIES) {
      const waiter = this.#waiting[priority].take();
      if (waiter !== undefined) {
        return waiter;
      }
    }
    return undefined;
  }
}
