import type { Random } from "../base/backoff.ts";
import { type Clock, sleep } from "../base/clock.ts";
import { SatelliteError } from "../base/errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { KubeClient } from "./client.ts";
import { withDeadline } from "./deadline.ts";
import { hasReason, isConflict, isNotFound, KubeError } from "./errors.ts";
import { heldBy, holderOf, released } from "./lease-record.ts";
import type { KubeMetrics } from "./metrics.ts";
import type { OwnerReference } from "./objects.ts";
import { type Lease, LEASE } from "./resources.ts";

/**
 * How this process stopped being the leader: it released the lease in order, or lost it, since it could not renew
 * it or another process took it.
 */
export type LeadershipEnd = "released" | "lost";

/** What a {@link LeaderElector} takes. Defaults are client-go's. */
export interface LeaderElectionOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: KubeMetrics;
  /** Where the Lease object is, and what it is called. */
  readonly namespace: string;
  readonly name: string;
  /** Must be unique, like the pod's name: a process with the holder's identity takes the lease at once. */
  readonly identity: string;
  /** How long others wait after the last renewal they saw. Default 15 s. */
  readonly leaseDurationMs?: number;
  /** How long this process leads without a successful renewal. Default 10 s. */
  readonly renewDeadlineMs?: number;
  /** Pause between attempts. Default 2 s. */
  readonly retryPeriodMs?: number;
  /**
   * Starts the leader's work. When `signal` aborts, it must stop and settle; the lease is renewed until then
   * and released after. It may also return early and leave its work running under the signal.
   */
  readonly onStartedLeading: (signal: AbortSignal) => Promise<void>;
  /** After "lost" the process should exit at once: its work may still be running and another leads. */
  readonly onStoppedLeading: (end: LeadershipEnd) => void;
  /**
   * Owner of a Lease that this process creates, which is deleted with it. Where the owner does not exist or may not be
   * read, the Lease has none and stays.
   */
  readonly owner?: () => Promise<OwnerReference>;
  /** Told whenever another holder is seen, this process included. */
  readonly onNewLeader?: (identity: string) => void;
}

/** client-go's JitterFactor: candidates wait between one and 2.2 retry periods. */
const JITTER_FACTOR = 1.2;

type Attempt = "held" | "held by another" | "failed";

/**
 * Leader election over a coordination.k8s.io/v1 Lease, compatible with client-go's.
 *
 * A candidate takes the lease when it is free, or when its holder has not renewed it for the lease's duration. It
 * measures the age of the holder's renewals by its own monotonic clock, from when it saw them, so differences between
 * the clocks of machines do not matter, as long as they run at about the same speed. The leader counts from when it
 * *sent* its last successful renewal, which is before anybody can have seen it. So the leader's time ends first, also
 * when the process was stopped in between and resumes later.
 *
 * No election can exclude that a request is on its way when the lease ends: before a side effect
 * compare {@link marginMs} with the time the request may take.
 */
export class LeaderElector {
  readonly #options: LeaderElectionOptions;
  readonly #logger: Logger;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  /** The Lease as last read or written; undefined when unknown. */
  #lease: Lease | undefined;
  /** The Lease as last seen, also when it has been deleted since. */
  #seen: Lease | undefined;
  #observed: { readonly record: string; readonly atMs: number } | undefined;
  #leader: string | undefined;
  /** When the last successful renewal was sent; undefined while the lease is not ours. */
  #renewSentMs: number | undefined;
  #leading = false;

  /** @throws SatelliteError `InvalidLeaderElection` when the times do not fit each other */
  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#logger = options.logger.child({ lease: `${options.namespace}/${options.name}` });
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000;
    if (
      this.#leaseDurationMs <= this.#renewDeadlineMs ||
      this.#renewDeadlineMs <= this.#retryPeriodMs * JITTER_FACTOR ||
      this.#retryPeriodMs <= 0
    ) {
      throw new SatelliteError(
        "InvalidLeaderElection",
        "the lease's duration must be longer than the renew deadline, and that longer than 1.2 retry periods",
      );
    }
    options.metrics.leaderStatus.set({ name: options.name }, 0);
  }

  /** Whether this process leads at this moment. */
  isLeader(): boolean {
    return this.#leading && this.marginMs() > 0;
  }

  /**
   * Milliseconds for which no other process can take the lease, counted from when the last successful renewal
   * was sent; 0 when that time is over or this process does not hold the lease.
   */
  marginMs(): number {
    if (this.#renewSentMs === undefined) {
      return 0;
    }
    return Math.max(0, this.#renewSentMs + this.#leaseDurationMs - this.#options.clock.monotonicMs());
  }

  /** Identity of the holder as last seen; undefined when nobody held the lease. */
  leader(): string | undefined {
    return this.#leader;
  }

  /**
   * Waits until this process is the leader, leads, and returns when that has ended. When `signal` aborts, the work is
   * told to stop; when it has, the lease is released.
   *
   * @returns "released" after `signal`, also when this process never led; "lost" when it must exit at once, or wait until
   *   the work has settled before it calls this again
   * @throws what `onStartedLeading` threw, after the lease was released
   */
  async run(signal: AbortSignal): Promise<LeadershipEnd> {
    if (!(await this.#acquire(signal))) {
      return "released";
    }
    if (signal.aborted) {
      await this.#release();
      return "released";
    }
    return await this.#lead(signal);
  }

  async #acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      // The signal does not end an attempt: one that is ended early may have taken the lease, and nobody would know.
      if ((await this.#attempt(this.#renewDeadlineMs / 2)) === "held") {
        return true;
      }
      const delayMs = this.#retryPeriodMs * (1 + JITTER_FACTOR * this.#options.random());
      try {
        await sleep(this.#options.clock, delayMs, signal);
      } catch {
        // Only the signal ends this sleep early; the loop's condition sees it.
      }
    }
    return false;
  }

  async #lead(signal: AbortSignal): Promise<LeadershipEnd> {
    const { name, onStoppedLeading } = this.#options;
    const leading = new AbortController();
    const settled = new AbortController();
    const stop = (): void =>
      leading.abort(new SatelliteError("Stopping", "the process stops and gives up its lead"));
    signal.addEventListener("abort", stop, { once: true });
    this.#setLeading(true);
    this.#logger.info("Became leader", { identity: this.#options.identity });

    let failure: { readonly error: unknown } | undefined;
    const work = async (): Promise<void> => {
      try {
        await this.#options.onStartedLeading(leading.signal);
        await aborted(leading.signal);
      } catch (error) {
        failure = { error };
      }
      settled.abort();
    };
    void work();

    const end = (await this.#renewUntil(settled.signal)) ? "released" : "lost";
    signal.removeEventListener("abort", stop);
    this.#setLeading(false);
    if (end === "released") {
      await this.#release();
      this.#logger.info("Released the lead", { lease: name });
    } else {
      this.#renewSentMs = undefined;
      this.#logger.error("Lost the lead", { leader: this.leader() });
      leading.abort(new SatelliteError("LeadershipLost", "another process may lead by now"));
    }
    onStoppedLeading(end);
    if (end === "released" && failure !== undefined && !isStop(failure.error, leading.signal)) {
      throw failure.error;
    }
    return end;
  }

  /** Renews until `until` aborts (true) or the lease is lost (false). */
  async #renewUntil(until: AbortSignal): Promise<boolean> {
    const { clock } = this.#options;
    while (!until.aborted) {
      try {
        await sleep(clock, Math.min(this.#retryPeriodMs, this.#deadlineLeftMs()), until);
      } catch {
        return this.#deadlineLeftMs() > 0;
      }
      const leftMs = this.#deadlineLeftMs();
      if (
        leftMs <= 0 ||
        (await this.#attempt(Math.min(this.#renewDeadlineMs / 2, leftMs))) === "held by another"
      ) {
        return false;
      }
    }
    return this.#deadlineLeftMs() > 0;
  }

  /** Milliseconds until this process must stop leading, where no renewal succeeds. */
  #deadlineLeftMs(): number {
    return (this.#renewSentMs ?? -Infinity) + this.#renewDeadlineMs - this.#options.clock.monotonicMs();
  }

  async #attempt(timeoutMs: number): Promise<Attempt> {
    const { clock } = this.#options;
    try {
      return await withDeadline(
        clock,
        {
          timeoutMs,
          timeoutError: () =>
            new KubeError({ reason: "Timeout", status: 0, message: "the lease was not answered in time" }),
        },
        (signal) => this.#takeOrRenew(timeoutMs, signal),
      );
    } catch (error) {
      // Whether a write arrived is not known; the next attempt must look first.
      this.#lease = undefined;
      if (isConflict(error) || hasReason(error, "AlreadyExists")) {
        this.#logger.debug("Another process wrote the lease first", { error });
      } else {
        this.#logger.warn("The lease could not be read or written; trying again", { error });
      }
      return "failed";
    }
  }

  async #takeOrRenew(timeoutMs: number, signal: AbortSignal): Promise<Attempt> {
    const { client, clock, identity, name, namespace } = this.#options;
    const call = { timeoutMs, signal, urgent: true };
    // A leader that knows its lease writes at once; the resourceVersion in it makes that safe.
    if (!this.#leading || this.#lease === undefined) {
      const lease = await this.#read(call);
      signal.throwIfAborted();
      // The holder does not know that somebody has deleted it, and leads until its own time is over.
      const vanished = lease === undefined ? this.#seen : undefined;
      if (vanished !== undefined && this.#isTaken(vanished)) {
        return "held by another";
      }
      this.#lease = lease;
      this.#observe(lease);
    }
    const current = this.#lease;
    if (current !== undefined && this.#isTaken(current)) {
      return "held by another";
    }
    const ownerReferences = current === undefined ? await this.#owners() : undefined;
    signal.throwIfAborted();
    const sentMs = clock.monotonicMs();
    const spec = heldBy(identity, current?.spec, this.#leaseDurationMs, clock.now());
    const written =
      current === undefined
        ? await client.create<Lease>(LEASE, { metadata: { namespace, name, ...ownerReferences }, spec }, call)
        : await client.replace<Lease>(LEASE, { ...current, spec }, call);
    // An attempt that was given up must not change anything: the next one may be under way.
    signal.throwIfAborted();
    this.#lease = written;
    this.#renewSentMs = sentMs;
    this.#observe(this.#lease);
    return "held";
  }

  /** Members of the metadata of a Lease that is created. */
  async #owners(): Promise<{ readonly ownerReferences?: OwnerReference[] }> {
    try {
      const owner = await this.#options.owner?.();
      return owner === undefined ? {} : { ownerReferences: [owner] };
    } catch (error) {
      if (!isNotFound(error) && !hasReason(error, "Forbidden")) {
        throw error;
      }
      this.#logger.warn("The lease will stay when its Deployment is deleted, which could not be read", {
        error,
      });
      return {};
    }
  }

  async #read(call: {
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
    readonly urgent: boolean;
  }): Promise<Lease | undefined> {
    const { client, name, namespace } = this.#options;
    try {
      return await client.get<Lease>(LEASE, { namespace, name }, call);
    } catch (error) {
      if (isNotFound(error)) {
        return undefined;
      }
      throw error;
    }
  }

  #observe(lease: Lease | undefined): void {
    this.#seen = lease ?? this.#seen;
    const record = JSON.stringify(lease?.spec ?? null);
    if (this.#observed?.record !== record) {
      this.#observed = { record, atMs: this.#options.clock.monotonicMs() };
    }
    const leader = holderOf(lease?.spec);
    const changed = leader !== this.#leader;
    this.#leader = leader;
    if (changed && leader !== undefined) {
      this.#options.onNewLeader?.(leader);
    }
  }

  /**
   * Whether another process holds the lease and its time is not over; where this process leads, whether another one is
   * the holder at all.
   */
  #isTaken(lease: Lease): boolean {
    const holder = holderOf(lease.spec);
    if (holder === undefined || holder === this.#options.identity) {
      return false;
    }
    const durationMs = (lease.spec?.leaseDurationSeconds ?? 0) * 1000 || this.#leaseDurationMs;
    const seenAtMs = this.#observed?.atMs ?? this.#options.clock.monotonicMs();
    return this.#leading || seenAtMs + durationMs > this.#options.clock.monotonicMs();
  }

  async #release(): Promise<void> {
    const { client, clock, identity } = this.#options;
    const timeoutMs = this.#renewDeadlineMs / 2;
    const deadline = {
      timeoutMs,
      timeoutError: () =>
        new KubeError({ reason: "Timeout", status: 0, message: "the lease was not answered in time" }),
    };
    // From here on this process does not act any more, whatever the write's outcome.
    this.#renewSentMs = undefined;
    try {
      await withDeadline(clock, deadline, async (signal) => {
        const call = { timeoutMs, signal, urgent: true };
        const lease = this.#lease ?? (await this.#read(call));
        if (lease !== undefined && holderOf(lease.spec) === identity) {
          const spec = released(lease.spec, clock.now());
          this.#lease = await client.replace<Lease>(LEASE, { ...lease, spec }, call);
        }
      });
    } catch (error) {
      this.#logger.warn("The lease could not be released; others wait until it runs out", { error });
    }
  }

  #setLeading(leading: boolean): void {
    this.#leading = leading;
    this.#options.metrics.leaderStatus.set({ name: this.#options.name }, leading ? 1 : 0);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Whether `error` is only the signal's own reason, which work that was told to stop may throw. */
function isStop(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted && error === signal.reason;
}
