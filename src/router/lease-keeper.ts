import { untilAborted } from "../base/abort.ts";
import type { Timer } from "../base/clock.ts";
import type { Satellite } from "../satellite/types.ts";
import { ActivityEntry, type ActivityEntryOptions } from "./activity-entry.ts";
import { DueTimer } from "./due-timer.ts";
import { epochToDrain, isEnded, isLeasable, type HeldLease } from "./lease-rules.ts";
import { admitMs, leaseSeconds, quietMs, renewMs } from "./lease-terms.ts";
import { OpenStreams, type OpenStream, type StreamUse } from "./open-streams.ts";
import type { WriteQueue } from "./write-queue.ts";

/** How taking a lease ended. */
export type LeaseOutcome =
  | { readonly kind: "taken" }
  /** The satellite is not what the router thought; it has been read anew. */
  | { readonly kind: "refused" }
  | { readonly kind: "failed"; readonly error: Error };

/** Options of {@link LeaseKeeper}. */
export interface LeaseKeeperOptions extends ActivityEntryOptions {
  /** Shared with whoever else writes to this satellite. */
  readonly writes: WriteQueue;
  /** Called when the keeper has nothing more to do, so that it may be forgotten. */
  readonly onIdle: () => void;
}

/** How often counts are reported while the satellite drains, in milliseconds. */
const DRAIN_REPORT_MS = 1000;

/**
 * This router's lease on one satellite, and its count of streams there (docs/power-protocol.md, "Router"). Writes for one
 * satellite go out one after the other, so that the API server sees them in the order of `seq`.
 */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #lease: HeldLease | undefined;
  readonly #entry: ActivityEntry;
  readonly #streams = new OpenStreams();
  #heldRequests = 0;
  #oldestHeld: StreamUse | undefined;
  /** Whether streams came or went since the last write. */
  #hasNews = false;
  #drainReportedAtMs = -Infinity;
  #closing = false;
  readonly #renewal: DueTimer;
  readonly #report: DueTimer;
  #lapse: Timer | undefined;
  #taking: Promise<LeaseOutcome> | undefined;
  /** Called when the last stream has ended. */
  #onNoStreams = (): void => {};

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#entry = new ActivityEntry(options);
    this.#renewal = new DueTimer(options.clock, () => void this.take());
    this.#report = new DueTimer(options.clock, () => void this.#inOrder(() => this.#writeReport()));
  }

  /** Whether nothing is open, held, being written or still to be reported, and no lease is live. */
  get isIdle(): boolean {
    return (
      this.#streams.size === 0 &&
      this.#heldRequests === 0 &&
      this.#options.writes.pending === 0 &&
      !this.#report.isPlanned &&
      (this.#closing || this.#lapse === undefined)
    );
  }

  /** Whether requests may be admitted on `epoch` now, without asking anybody. */
  permits(satellite: Satellite, epoch: number): boolean {
    const lease = this.#lease;
    return (
      !this.#closing &&
      lease !== undefined &&
      lease.epoch === epoch &&
      lease.uid === satellite.metadata.uid &&
      this.#options.clock.monotonicMs() - lease.sentAtMs < admitMs(lease.validSeconds)
    );
  }

  /** Takes or renews the lease for the satellite's present epoch. One at a time. Never rejects. */
  take(): Promise<LeaseOutcome> {
    this.#taking ??= this.#inOrder(() => this.#writeLease()).finally(() => {
      this.#taking = undefined;
      this.#rearmRenewal();
    });
    return this.#taking;
  }

  /** How many requests are held, and the oldest of them; they hold the lease as open streams do. */
  setHeldRequests(count: number, oldest: StreamUse | undefined): void {
    this.#heldRequests = count;
    this.#oldestHeld = oldest;
    this.#scheduleRenewal();
    this.#checkIdle();
  }

  /** Counts a stream until it is handed to {@link streamClosed}. */
  streamOpened(epoch: number, use: StreamUse): OpenStream {
    const stream = this.#streams.add(epoch, use);
    this.#options.metrics.requests.streamOpened();
    this.#hasNews = true;
    this.#report.forget();
    this.#scheduleRenewal();
    return stream;
  }

  streamClosed(stream: OpenStream): void {
    this.#streams.remove(stream);
    this.#options.metrics.requests.streamClosed();
    this.#hasNews = true;
    this.#scheduleRenewal();
    this.#scheduleReport();
    if (this.#streams.size === 0) {
      this.#onNoStreams();
    }
  }

  /** Looks at the satellite after a change: the end of an epoch ends its lease, and may have to be acknowledged. */
  onSatelliteChange(): void {
    this.#dropEndedLease();
    if (this.#drainingEpoch() !== undefined) {
      this.#scheduleReport();
    }
    this.#scheduleRenewal();
    this.#checkIdle();
  }

  /**
   * The last act: admits nothing any more, and once no stream is open withdraws this router's entry, so that nobody waits
   * for it. Tries until that is done, or `signal` aborts; a lease that stays then lapses by itself.
   */
  async withdraw(signal: AbortSignal): Promise<void> {
    this.#closing = true;
    this.#renewal.stop();
    this.#lapse?.cancel();
    this.#report.stop();
    if (this.#streams.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onNoStreams = resolve;
      await Promise.race([promise, untilAborted(signal)]);
    }
    await this.#options.writes.run(() => this.#entry.remove(signal));
  }

  #inOrder<T>(write: () => Promise<T>): Promise<T> {
    return this.#options.writes.run(write).finally(() => this.#checkIdle());
  }

  async #writeLease(): Promise<LeaseOutcome> {
    const { key, view, clock, logger } = this.#options;
    const satellite = view.get(key);
    if (satellite === undefined || !isLeasable(satellite)) {
      return { kind: "refused" };
    }
    const sentAtMs = clock.monotonicMs();
    const validSeconds = leaseSeconds(satellite.spec.idleTimeout);
    this.#hasNews = this.#streams.size > 0;
    const openStreams = this.#streams.size + this.#heldRequests;
    const outcome = await this.#entry.lease(satellite, { openStreams, oldest: this.#oldestUse() });
    if (outcome.kind !== "refused") {
      // Where no answer came it may have landed: whoever ends before it lapses has to withdraw it.
      this.#armLapse(validSeconds);
    }
    if (outcome.kind !== "written") {
      logger.debug("lease was not taken", { satellite: key, outcome: outcome.kind, error: outcome.error });
      this.#lease = outcome.kind === "refused" ? undefined : this.#lease;
      return outcome;
    }
    this.#lease = {
      uid: satellite.metadata.uid,
      epoch: satellite.status.power.epoch,
      sentAtMs,
      validSeconds,
    };
    view.observe(outcome.satellite);
    // The news that the epoch ended after this write may have come before its answer.
    this.#dropEndedLease();
    return { kind: "taken" };
  }

  #oldestUse(): StreamUse | undefined {
    return this.#streams.oldest ?? this.#oldestHeld;
  }

  /** The renewal that is due now replaces whatever was planned. */
  #rearmRenewal(): void {
    this.#renewal.forget();
    this.#scheduleRenewal();
  }

  /** Plans the next renewal while streams are open or held on an epoch that goes on. */
  #scheduleRenewal(): void {
    const { clock } = this.#options;
    if (!this.#needsRenewal() || this.#closing) {
      this.#renewal.forget();
      return;
    }
    if (this.#renewal.isPlanned || this.#taking !== undefined) {
      return;
    }
    const lease = this.#lease;
    const dueMs = lease === undefined ? 0 : lease.sentAtMs + renewMs(lease.validSeconds);
    const retryInMs = this.#entry.retryInMs();
    this.#renewal.plan(Math.max(dueMs, clock.monotonicMs() + retryInMs));
  }

  /** Open streams need a lease; held requests need theirs renewed (the gate takes the first one itself). */
  #needsRenewal(): boolean {
    const satellite = this.#options.view.get(this.#options.key);
    if (satellite === undefined || !isLeasable(satellite)) {
      return false;
    }
    const { epoch } = satellite.status.power;
    return this.#streams.has(epoch) || (this.#heldRequests > 0 && this.#lease?.epoch === epoch);
  }

  /** A lease ends with its epoch; the answer to its patch does not overrule news that came before it. */
  #dropEndedLease(): void {
    const { view, key } = this.#options;
    if (this.#lease !== undefined && isEnded(this.#lease, view.get(key))) {
      this.#lease = undefined;
    }
  }

  #drainingEpoch(): number | undefined {
    const satellite = this.#options.view.get(this.#options.key);
    return satellite === undefined ? undefined : epochToDrain(satellite, this.#options.router);
  }

  /**
   * Plans a report of the count: at once when the operator waits for this router to have drained, every second
   * while it drains, and else when no stream has been open for a while.
   */
  #scheduleReport(): void {
    const delayMs = this.#reportDelayMs();
    if (delayMs === undefined || this.#closing) {
      this.#report.forget();
      this.#checkIdle();
      return;
    }
    this.#report.plan(this.#options.clock.monotonicMs() + delayMs);
  }

  #reportDelayMs(): number | undefined {
    const { view, key, clock } = this.#options;
    const retryInMs = this.#entry.retryInMs();
    const drainingEpoch = this.#drainingEpoch();
    if (drainingEpoch !== undefined) {
      const nextReportMs = this.#drainReportedAtMs + DRAIN_REPORT_MS - clock.monotonicMs();
      return this.#streams.has(drainingEpoch) ? Math.max(retryInMs, nextReportMs, 0) : retryInMs;
    }
    const satellite = view.get(key);
    if (satellite === undefined || this.#streams.size > 0 || !this.#hasNews) {
      return undefined;
    }
    return Math.max(retryInMs, quietMs(leaseSeconds(satellite.spec.idleTimeout)));
  }

  /** Writes the count of open streams, and that the router has drained when it has. */
  async #writeReport(): Promise<void> {
    const { key, view, clock, logger } = this.#options;
    const satellite = view.get(key);
    this.#hasNews = false;
    if (satellite === undefined) {
      return;
    }
    const drainingEpoch = this.#drainingEpoch();
    const drainedEpoch =
      drainingEpoch !== undefined && this.#streams.has(drainingEpoch) ? undefined : drainingEpoch;
    this.#drainReportedAtMs = clock.monotonicMs();
    const usage = { openStreams: this.#streams.size, oldest: this.#oldestUse() };
    const outcome = await this.#entry.report(satellite, usage, drainedEpoch);
    if (outcome.kind === "written") {
      view.observe(outcome.satellite);
    } else {
      logger.warn("could not report open streams", { satellite: key, error: outcome.error });
      this.#hasNews = true;
    }
    if (this.#hasNews || this.#drainingEpoch() !== undefined) {
      this.#scheduleReport();
    }
  }

  /** The lease lapses for the operator after its whole time; until then this router may be asked to drain. */
  #armLapse(validSeconds: number): void {
    this.#lapse?.cancel();
    this.#lapse = this.#options.clock.setTimer(validSeconds * 1000, () => {
      this.#lapse = undefined;
      this.#checkIdle();
    });
  }

  #checkIdle(): void {
    if (this.isIdle) {
      this.#renewal.stop();
      this.#report.stop();
      this.#options.onIdle();
    }
  }
}
