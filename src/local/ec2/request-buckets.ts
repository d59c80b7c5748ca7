import type { Clock } from "../../base/clock.ts";
import { Ec2ApiError } from "./api-error.ts";

/** A token bucket: how much it holds, and what flows in each second. */
export interface BucketSize {
  readonly burst: number;
  readonly refillPerSecond: number;
}

/** What one action is allowed: requests, and for some actions the instances that they name. */
export interface ActionLimit {
  readonly requests: BucketSize;
  readonly resources?: BucketSize;
}

/**
 * EC2's documented limits per account and region (EC2 developer guide, "Request throttling for the Amazon
 * EC2 API": request and resource token bucket sizes). Actions that are not listed share `default`.
 */
export const DOCUMENTED_LIMITS: Readonly<Record<string, ActionLimit>> = {
  RunInstances: {
    requests: { burst: 5, refillPerSecond: 2 },
    resources: { burst: 1000, refillPerSecond: 2 },
  },
  StartInstances: {
    requests: { burst: 5, refillPerSecond: 2 },
    resources: { burst: 1000, refillPerSecond: 2 },
  },
  StopInstances: {
    requests: { burst: 50, refillPerSecond: 5 },
    resources: { burst: 1000, refillPerSecond: 20 },
  },
  TerminateInstances: {
    requests: { burst: 100, refillPerSecond: 5 },
    resources: { burst: 1000, refillPerSecond: 20 },
  },
  RebootInstances: { requests: { burst: 50, refillPerSecond: 5 } },
  CreateTags: { requests: { burst: 100, refillPerSecond: 10 } },
  ModifyInstanceAttribute: { requests: { burst: 50, refillPerSecond: 5 } },
  CreateVolume: { requests: { burst: 50, refillPerSecond: 5 } },
  AttachVolume: { requests: { burst: 50, refillPerSecond: 5 } },
  DetachVolume: { requests: { burst: 50, refillPerSecond: 5 } },
  DeleteVolume: { requests: { burst: 50, refillPerSecond: 5 } },
  DescribeInstances: { requests: { burst: 50, refillPerSecond: 10 } },
  /** DescribeInstances with filters or pages. */
  DescribeInstancesFiltered: { requests: { burst: 100, refillPerSecond: 20 } },
  default: { requests: { burst: 100, refillPerSecond: 20 } },
};

class TokenBucket {
  readonly #size: BucketSize;
  readonly #clock: Clock;
  #tokens: number;
  #filledAtMs: number;

  constructor(size: BucketSize, clock: Clock) {
    this.#size = size;
    this.#clock = clock;
    this.#tokens = size.burst;
    this.#filledAtMs = clock.monotonicMs();
  }

  holds(tokens: number): boolean {
    const nowMs = this.#clock.monotonicMs();
    const flowed = ((nowMs - this.#filledAtMs) / 1000) * this.#size.refillPerSecond;
    this.#tokens = Math.min(this.#size.burst, this.#tokens + flowed);
    this.#filledAtMs = nowMs;
    // Refill in many small steps must not lose a token to rounding.
    return this.#tokens + 1e-9 >= tokens;
  }

  take(tokens: number): void {
    this.#tokens -= tokens;
  }
}

/** The account's buckets. A request that finds one empty is refused, and takes nothing. */
export class RequestBuckets {
  readonly #limits: Readonly<Record<string, ActionLimit>>;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, { requests: TokenBucket; resources: TokenBucket | undefined }>();

  /** @param limits by action, with `default` for the others; an empty table limits nothing */
  constructor(limits: Readonly<Record<string, ActionLimit>>, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * Counts one request.
   *
   * @param action key of the table of limits
   * @param resources instances that the request acts on
   * @throws Ec2ApiError `RequestLimitExceeded` (HTTP 503, as EC2 answers it)
   */
  admit(action: string, resources: number): void {
    const bucket = this.#bucket(action);
    if (bucket === undefined) {
      return;
    }
    if (!bucket.requests.holds(1) || bucket.resources?.holds(resources) === false) {
      throw new Ec2ApiError("RequestLimitExceeded", "Request limit exceeded.", 503);
    }
    bucket.requests.take(1);
    bucket.resources?.take(resources);
  }

  #bucket(action: string): { requests: TokenBucket; resources: TokenBucket | undefined } | undefined {
    const key = Object.hasOwn(this.#limits, action) ? action : "default";
    const limit = this.#limits[key];
    if (limit === undefined) {
      return undefined;
    }
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = {
        requests: new TokenBucket(limit.requests, this.#clock),
        resources: limit.resources === undefined ? undefined : new TokenBucket(limit.resources, this.#clock),
      };
      this.#buckets.set(key, bucket);
    }
    return bucket;
  }
}
