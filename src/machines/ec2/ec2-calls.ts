import { backoffMs, type Random } from "../../base/backoff.ts";
import { sleep, type Clock } from "../../base/clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { CloudError } from "../errors.ts";
import { THROTTLED } from "./error-rules.ts";
import { toCloudError } from "./to-cloud-error.ts";
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
   * Milliseconds that a change may take from now on. It is asked right before each one is sent, since calls wait for their
   * turn. A leader answers with what is left of its lease: at 0 the call is not sent, and a call under way is given up when
   * that time is over. Without it only the call's own timeout counts.
   */
  readonly changeBudgetMs?: () => number;
  /** Fetches credentials again, without any cache. */
  readonly refreshCredentials?: () => Promise<void>;
}

/** One call. */
export interface Call<T> {
  /** EC2's name of the action. */
  readonly action: string;
  readonly bucket: LimitedAction;
  readonly kind: "read" | "change";
  readonly priority: Priority;
  /** The tenant that it is for, if it is for one: tenants take turns. */
  readonly tenant?: string | undefined;
  /** How long its turn is waited for, in milliseconds; then it fails as throttled. Default: for as long as it takes. */
  readonly patienceMs?: number;
  /** How long the answer is waited for, in milliseconds; {@link TIMEOUT_MS} when absent. */
  readonly timeoutMs?: number;
  /** Makes the request. */
  readonly send: (signal: AbortSignal) => Promise<T>;
}

/** How long answers are waited for unless the call says otherwise, in milliseconds. */
const TIMEOUT_MS = { read: 15_000, change: 10_000 } as const;
/** How often a call is sent at most while EC2 refuses it as one too many; then it is certain that nothing was done. */
const MAX_THROTTLED_ATTEMPTS = 4;
/** After this time the caller is told, so that the satellite can say so. */
const THROTTLED_PATIENCE_MS = 15_000;
/** How often a read is sent at most, as in the SDK's standard retry mode. */
const MAX_READ_ATTEMPTS = 3;
/** Refusals of the credentials that a request was signed with. Newer ones may exist already. */
const STALE_CREDENTIALS: ReadonlySet<string> = new Set([
  "ExpiredToken",
  "ExpiredTokenException",
  "RequestExpired",
  "AuthFailure",
  "InvalidClientTokenId",
  "UnrecognizedClientException",
]);
/** Credentials that are refused so soon after they were fetched are not fetched again. */
const FRESH_MS = 5_000;
const ONE = (): number => 1;
const READ_BACKOFF = { baseMs: 100, maxMs: 20_000, jitter: 1 };

/**
 * Makes calls: waits for a token of the action's bucket, limits the time, counts, and turns failures into `CloudError`s.
 * All waiting is by the injected clock. Reads are repeated as in the SDK's standard mode; changes are sent once, and again
 * only when EC2 has refused them as one request too many.
 */
export class Ec2Calls {
  readonly #options: Ec2CallsOptions;
  readonly #buckets = new Map<LimitedAction, TokenBucket>();
  #refreshing: Promise<boolean> | undefined;
  #refreshedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: Ec2CallsOptions) {
    this.#options = options;
  }

  /**
   * Waits for a token.
   *
   * @param wanted how many instances the call would name, asked when its turn has come
   * @param patienceMs how long it waits at most, in milliseconds; default: for as long as it takes
   * @returns how many it may name; 0 when its turn has not come in time
   */
  async acquire(
    bucket: LimitedAction,
    priority: Priority,
    wanted: () => number = ONE,
    tenant?: string,
    patienceMs?: number,
  ): Promise<number> {
    const { clock, metrics } = this.#options;
    const startedMs = clock.monotonicMs();
    const granted = await this.#bucket(bucket).take(priority, wanted, tenant, patienceMs);
    metrics.waitSeconds.observe({ action: bucket }, (clock.monotonicMs() - startedMs) / 1000);
    return granted;
  }

  /** Waits for a token and makes the call; see {@link callWithToken}. */
  async call<T>(call: Call<T>): Promise<T> {
    const { bucket, priority, tenant, patienceMs } = call;
    if ((await this.acquire(bucket, priority, ONE, tenant, patienceMs)) === 0) {
      throw outOfPatience(call.action, patienceMs ?? 0);
    }
    return this.callWithToken(call);
  }

  /**
   * Makes a call for which {@link acquire} has granted a token.
   *
   * @throws CloudError
   */
  async callWithToken<T>(call: Call<T>): Promise<T> {
    const bucket = this.#bucket(call.bucket);
    const beganMs = this.#options.clock.monotonicMs();
    for (let attempt = 1; ; attempt++) {
      const sentAtMs = this.#options.clock.monotonicMs();
      try {
        const result = await this.#attempt(call);
        bucket.admitted();
        return result;
      } catch (error) {
        const cloudError = toCloudError(error, call.action);
        const isRenewed = attempt === 1 && (await this.#renewCredentials(cloudError, sentAtMs));
        if (isRenewed) {
          await this.acquire(call.bucket, call.priority);
        } else if (!(await this.#mayRepeat(call, cloudError, attempt, beganMs))) {
          throw cloudError;
        }
      }
    }
  }

  /** Whether there are newer credentials than those that were refused. They are fetched once for all calls. */
  async #renewCredentials({ code }: CloudError, sentAtMs: number): Promise<boolean> {
    const { clock, logger, refreshCredentials } = this.#options;
    if (!STALE_CREDENTIALS.has(code) || refreshCredentials === undefined) {
      return false;
    }
    if (sentAtMs < this.#refreshedAtMs) {
      return true;
    }
    if (sentAtMs - this.#refreshedAtMs < FRESH_MS) {
      return false;
    }
    logger.warn("AWS refuses the credentials; they are asked for anew", { code });
    this.#refreshing ??= refreshCredentials()
      .then(
        () => {
          this.#refreshedAtMs = clock.monotonicMs();
          return true;
        },
        (error: unknown) => {
          logger.warn("There are no new credentials", { error });
          return false;
        },
      )
      .finally(() => {
        this.#refreshing = undefined;
      });
    return this.#refreshing;
  }

  /** Waits as long as the error requires; false when the call must not be repeated. */
  async #mayRepeat<T>(call: Call<T>, error: CloudError, attempt: number, beganMs: number): Promise<boolean> {
    const { clock, random, logger } = this.#options;
    if (error.class === "throttled") {
      this.#bucket(call.bucket).refused();
      const isLong = clock.monotonicMs() - beganMs >= THROTTLED_PATIENCE_MS;
      if (attempt >= MAX_THROTTLED_ATTEMPTS || isLong) {
        return false;
      }
      logger.warn("EC2 refuses requests as too many; waiting", { action: call.action, attempt });
      await this.acquire(call.bucket, call.priority, ONE, call.tenant);
      return true;
    }
    if (call.kind === "change" || error.class !== "server" || attempt >= MAX_READ_ATTEMPTS) {
      return false;
    }
    await sleep(clock, backoffMs(attempt - 1, READ_BACKOFF, random));
    await this.acquire(call.bucket, call.priority, ONE, call.tenant);
    return true;
  }

  async #attempt<T>(call: Call<T>): Promise<T> {
    const { clock, metrics, changeBudgetMs } = this.#options;
    const budgetMs = call.kind === "change" ? (changeBudgetMs?.() ?? Infinity) : Infinity;
    if (budgetMs <= 0) {
      throw notSent(call.action);
    }
    const timeout = new AbortController();
    const timeoutMs = Math.min(call.timeoutMs ?? TIMEOUT_MS[call.kind], budgetMs);
    const timer = clock.setTimer(timeoutMs, () => timeout.abort());
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

/** Nothing was sent: the caller may say what it waits for, see to other things, and come again. */
function outOfPatience(action: string, patienceMs: number): CloudError {
  return new CloudError({
    code: "WaitsForItsTurn",
    class: "throttled",
    reason: THROTTLED.reason,
    message:
      `${action} was not sent: EC2 takes only so many of these a second from an account, and so many others came first ` +
      `that its turn would not come within ${Math.round(patienceMs / 1000)} s; it is tried again`,
  });
}

function notSent(action: string): CloudError {
  return new CloudError({
    code: "LeadershipLost",
    class: "not-sent",
    reason: "LeadershipLost",
    message: `${action} was not sent, since this process is not the leader any more; the new leader decides`,
  });
}
