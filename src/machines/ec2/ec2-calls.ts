import { backoffMs, type Random } from "../../base/backoff.ts";
import { sleep, type Clock } from "../../base/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { CloudError } from "../errors.ts";
import { toCloudError } from "./error-table.ts";
import { DEFAULT_LIMITS, type LimitedAction } from "./limits.ts";
import type { Ec2Metrics } from "./metrics.ts";
import { TokenBucket, type ActionLimit, type Priority } from "./token-bucket.ts";

/** How calls are made. */
export interface Ec2CallsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Ec2Metrics;
  /** Replaces some of {@link DEFAULT_LIMITS}. */
  readonly limits?: Partial<Record<LimitedAction, ActionLimit>>;
  /**
   * Milliseconds that a change may take from now on, asked right before each one is sent, however long it waited
   * for its turn. A leader answers what is left of its lease: 0 stops the call, and a call under way is given up
   * when that time is over. Without it only the call's own timeout counts.
   */
  readonly changeBudgetMs?: () => number;
}

/** One call. */
export interface Call<T> {
  /** EC2's name of the action. */
  readonly action: string;
  readonly bucket: LimitedAction;
  readonly kind: "read" | "change";
  readonly priority: Priority;
  /** When the caller gives up waiting for the answer, in milliseconds. */
  readonly timeoutMs: number;
  /** Makes the request. */
  readonly send: (signal: AbortSignal) => Promise<T>;
}

/** How often a call is made in all while EC2 refuses it as one too many: it is certain that nothing happened. */
const MAX_THROTTLED_ATTEMPTS = 4;
/** How often a read is made in all, as in the SDK's standard retry mode. */
const MAX_READ_ATTEMPTS = 3;
const READ_BACKOFF = { baseMs: 100, maxMs: 20_000, jitter: 1 };

/**
 * Makes calls: waits for a token of the action's bucket, limits the time, counts, and turns what goes wrong
 * into a `CloudError`. All waiting is done by the injected clock. Reads are repeated as the SDK's standard
 * mode does; changes are sent once, and again only when EC2 refused them for their number alone.
 */
export class Ec2Calls {
  readonly #options: Ec2CallsOptions;
  readonly #buckets = new Map<LimitedAction, TokenBucket>();

  constructor(options: Ec2CallsOptions) {
    this.#options = options;
  }

  /**
   * Waits for a token.
   *
   * @param wanted how many instances the call would name, asked when its turn has come
   * @returns how many it may name
   */
  async acquire(bucket: LimitedAction, priority: Priority, wanted: () => number = () => 1): Promise<number> {
    const { clock, metrics } = this.#options;
    const startedMs = clock.monotonicMs();
    const granted = await this.#bucket(bucket).take(priority, wanted);
    metrics.waitSeconds.observe({ action: bucket }, (clock.monotonicMs() - startedMs) / 1000);
    return granted;
  }

  /** Waits for a token and makes the call; see {@link callWithToken}. */
  async call<T>(call: Call<T>): Promise<T> {
    await this.acquire(call.bucket, call.priority);
    return this.callWithToken(call);
  }

  /**
   * Makes a call for which {@link acquire} has granted a token.
   *
   * @throws CloudError
   */
  async callWithToken<T>(call: Call<T>): Promise<T> {
    const bucket = this.#bucket(call.bucket);
    for (let attempt = 1; ; attempt++) {
      try {
        const result = await this.#attempt(call);
        bucket.admitted();
        return result;
      } catch (error) {
        const cloudError = toCloudError(error, call.action);
        if (!(await this.#mayRepeat(call, cloudError, attempt))) {
          throw cloudError;
        }
      }
    }
  }

  /** Waits as the error demands; false when the call must not be made again. */
  async #mayRepeat<T>(call: Call<T>, error: CloudError, attempt: number): Promise<boolean> {
    const { clock, random, logger } = this.#options;
    if (error.code === LEADERSHIP_LOST) {
      return false;
    }
    if (error.class === "throttled") {
      this.#bucket(call.bucket).refused();
      if (attempt >= MAX_THROTTLED_ATTEMPTS) {
        return false;
      }
      logger.warn("EC2 refuses requests as too many; waiting", { action: call.action, attempt });
      await this.acquire(call.bucket, call.priority);
      return true;
    }
    if (call.kind === "change" || error.class !== "server" || attempt >= MAX_READ_ATTEMPTS) {
      return false;
    }
    await sleep(clock, backoffMs(attempt - 1, READ_BACKOFF, random));
    await this.acquire(call.bucket, call.priority);
    return true;
  }

  async #attempt<T>(call: Call<T>): Promise<T> {
    const { clock, metrics, changeBudgetMs } = this.#options;
    const budgetMs = call.kind === "change" ? (changeBudgetMs?.() ?? Infinity) : Infinity;
    if (budgetMs <= 0) {
      throw leadershipLost(call.action);
    }
    const timeout = new AbortController();
    const timer = clock.setTimer(Math.min(call.timeoutMs, budgetMs), () => timeout.abort());
    const startedMs = clock.monotonicMs();
    let outcome = "ok";
    try {
      return await call.send(timeout.signal);
    } catch (error) {
      const cloudError = toCloudError(error, call.action);
      outcome = cloudError.code;
      throw cloudError;
    } finally {
      timer.cancel();
      metrics.calls.inc({ action: call.action, outcome });
      metrics.durationSeconds.observe({ action: call.action }, (clock.monotonicMs() - startedMs) / 1000);
    }
  }

  #bucket(action: LimitedAction): TokenBucket {
    let bucket = this.#buckets.get(action);
    if (bucket === undefined) {
      const limit = this.#options.limits?.[action] ?? DEFAULT_LIMITS[action];
      bucket = new TokenBucket(limit, this.#options.clock, this.#options.random);
      this.#buckets.set(action, bucket);
    }
    return bucket;
  }
}

const LEADERSHIP_LOST = "LeadershipLost";

function leadershipLost(action: string): CloudError {
  return new CloudError({
    code: LEADERSHIP_LOST,
    class: "throttled",
    reason: LEADERSHIP_LOST,
    message: `${action} was not sent, since this process is not the leader any more; the new leader decides`,
  });
}
