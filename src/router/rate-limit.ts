import type { Clock } from "../base/clock.ts";
import { Http2ConnectionError } from "../http2/errors.ts";
import { ErrorCode } from "../http2/protocol.ts";

/** How fast something may happen: a burst, and a steady rate once the burst is used up. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** A token bucket that looks at the clock only when it runs dry. */
export class RateLimit {
  readonly #rate: Rate;
  readonly #what: string;
  readonly #clock: Clock;
  #tokens: number;
  #filledAtMs: number;

  /** @param what plural, for the error's message */
  constructor(rate: Rate, what: string, clock: Clock) {
    this.#rate = rate;
    this.#what = what;
    this.#clock = clock;
    this.#tokens = rate.burst;
    this.#filledAtMs = clock.monotonicMs();
  }

  /** @throws Http2ConnectionError ENHANCE_YOUR_CALM when there were too many */
  take(): void {
    if (this.#tokens < 1) {
      this.#refill();
    }
    if (this.#tokens < 1) {
      throw new Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, `too many ${this.#what}`);
    }
    this.#tokens -= 1;
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs();
    const earned = ((nowMs - this.#filledAtMs) / 1000) * this.#rate.perSecond;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + earned);
    this.#filledAtMs = nowMs;
  }
}
