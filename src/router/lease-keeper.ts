import { untilAborted } from "../base/abort.ts";
import { backoffMs, type Random } from "../base/backoff.ts";
import { sleep, type Clock, type Timer } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import { isRejected, type KubeError } from "../kube/errors.ts";
import { timestamp } from "../satellite/conditions.ts";
import { isDraining } from "../satellite/power.ts";
import type { Lease } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import { admitMs, leaseSeconds, quietMs, renewMs } from "./lease-terms.ts";
import type { RouterMetrics } from "./metrics.ts";
import { OpenStreams, shownUse, type OpenStream, type StreamUse } from "./open-streams.ts";
import { isStale, type SatelliteApi } from "./satellite-api.ts";
import type { SatelliteView } from "./satellite-view.ts";
import type { WriteQueue } from "./write-queue.ts";

/** How taking a lease ended. */
export type LeaseOutcome =
  | { readonly kind: "taken" }
  /** The satellite is not what the router thought; it has been read anew. */
  | { readonly kind: "refused" }
  | { readonly kind: "failed"; readonly error: Error };

/** Options of {@link LeaseKeeper}. */
export interface LeaseKeeperOptions {
  /** "namespace/name" of the satellite. */
  readonly key: string;
  /** Key of this router in `status.activity`. */
  readonly router: string;
  readonly view: SatelliteView;
  readonly api: SatelliteApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: RouterMetrics;
  /** Shared with whoever else writes to this satellite. */
  readonly writes: WriteQueue;
  /** Called when the keeper has nothing more to do, so that it may be forgotten. */
  readonly onIdle: () => void;
}

/** A lease that the API server accepted. */
interface HeldLease {
  readonly uid: string | undefined;
  readonly epoch: number;
  /** When its patch was sent, on the monotonic clock. It counts from here: the operator starts later. */
  readonly sentAtMs: number;
  readonly validSeconds: number;
}

/**
 * A process begins to count at random: a late lease of the process before, under the same name, must not bear the
 * number of a new one (docs/decisions/0014).
 */
const FIRST_SEQ_BELOW = 2 ** 48;
const RETRY = { baseMs: 200, maxMs: 10_000 };
/** How often counts are reported while the satellite drains, in milliseconds. */
const DRAIN_REPORT_MS = 1000;

/**
 * This router's lease on one satellite, and its count of streams there (docs/power-protocol.md, "Router"). Writes for one
 * satellite go out one after the other, so that the API server sees them in the order of `seq`.
 */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #lease: HeldLease | undefined;
  readonly #firstSeq: number;
  #seq: number;
  /** Open streams by epoch. */
  readonly #open = new Map<number, number>();
  readonly #streams = new OpenStreams();
  #openStreams = 0;
  #heldRequests = 0;
  #oldestHeld: StreamUse | undefined;
  /** Whether streams came or went since the last write. */
  #hasNews = false;
  #drainReportedAtMs = -Infinity;
  #failures = 0;
  #closing = false;
  #renewal: Timer | undefined;
  #report: Timer | undefined;
  #lapse: Timer | undefined;
  #taking: Promise<LeaseOutcome> | undefined;
  /** Called when the last stream has ended. */
  #onNoStreams = (): void => {};

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#firstSeq = Math.floor(options.random() * FIRST_SEQ_BELOW);
    this.#seq = this.#firstSeq;
  }

  get openStreams(): number {
    return this.#openStreams;
  }

  /** Whether nothing is open, held, being written or still to be reported, and no lease is live. */
  get isIdle(): boolean {
    return (
      this.#openStreams === 0 &&
      this.#heldRequests === 0 &&
      this.#options.writes.pending === 0 &&
      this.#report === undefined &&
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
    this.#openStreams++;
    this.#open.set(epoch, (this.#open.get(epoch) ?? 0) + 1);
    this.#options.metrics.streamsOpen.inc();
    this.#hasNews = true;
    this.#report?.cancel();
    this.#report = undefined;
    this.#scheduleRenewal();
    return this.#streams.add(epoch, use);
  }

  streamClosed(stream: OpenStream): void {
    const { epoch } = stream;
    this.#streams.remove(stream);
    this.#openStreams--;
    const left = (this.#open.get(epoch) ?? 1) - 1;
    if (left === 0) {
      this.#open.delete(epoch);
    } else {
      this.#open.set(epoch, left);
    }
    this.#options.metrics.streamsOpen.dec();
    this.#hasNews = true;
    this.#scheduleRenewal();
    this.#scheduleReport();
    if (this.#openStreams === 0) {
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
    this.#renewal?.cancel();
    this.#lapse?.cancel();
    this.#report?.cancel();
    this.#report = undefined;
    if (this.#openStreams > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onNoStreams = resolve;
      await Promise.race([promise, untilAborted(signal)]);
    }
    await this.#options.writes.run(() => this.#removeEntry(signal));
  }

  async #removeEntry(signal: AbortSignal): Promise<void> {
    const { key, router, view, api, clock, random, logger } = this.#options;
    if (this.#failures > 0) {
      // A write without an answer may have landed.
      await this.#refresh();
    }
    for (let attempt = 0; !signal.aborted; attempt++) {
      const satellite = view.get(key);
      const entry = satellite?.status.activity[router];
      if (satellite === undefined || entry === undefined || !this.#isOwn(entry)) {
        return;
      }
      try {
        view.observe(await api.withdraw(key, satellite, signal));
        return;
      } catch (error) {
        logger.debug("the lease was not withdrawn", { satellite: key, error });
        await this.#refresh();
        await sleep(clock, backoffMs(attempt, RETRY, random), signal).catch(() => {});
      }
    }
  }

  /** Whether this process wrote an entry; another one of its name may have. */
  #isOwn({ seq }: Lease): boolean {
    return seq > this.#firstSeq && seq <= this.#seq;
  }

  async #refresh(): Promise<void> {
    const { key, view, logger } = this.#options;
    try {
      await view.refresh(key);
    } catch (error) {
      logger.debug("could not read the satellite anew", { satellite: key, error });
    }
  }

  #inOrder<T>(write: () => Promise<T>): Promise<T> {
    return this.#options.writes.run(write).finally(() => this.#checkIdle());
  }

  async #writeLease(): Promise<LeaseOutcome> {
    const { key, view, api, clock, metrics, logger } = this.#options;
    const satellite = view.get(key);
    if (satellite === undefined || !isLeasable(satellite)) {
      return { kind: "refused" };
    }
    const sentAtMs = clock.monotonicMs();
    const entry = this.#entry(satellite, this.#openStreams + this.#heldRequests);
    this.#hasNews = this.#openStreams > 0;
    try {
      const written = await api.lease(key, satellite, entry);
      this.#lease = {
        uid: satellite.metadata.uid,
        epoch: satellite.status.power.epoch,
        sentAtMs,
        validSeconds: entry.validSeconds,
      };
      this.#failures = 0;
      metrics.leaseWrites.inc({ result: "ok" });
      this.#armLapse(entry.validSeconds);
      view.observe(written);
      // The news that the epoch ended after this write may have come before its answer.
      this.#dropEndedLease();
      return { kind: "taken" };
    } catch (thrown) {
      const error = toError(thrown);
      const outcome = await this.#refreshIfStale(thrown);
      metrics.leaseWrites.inc({ result: outcome.kind });
      logger.debug("lease was not taken", { satellite: key, outcome: outcome.kind, error });
      if (outcome.kind === "refused") {
        this.#lease = undefined;
      } else {
        // It may have landed: whoever ends before it lapses has to withdraw it.
        this.#armLapse(entry.validSeconds);
      }
      this.#failures++;
      return outcome;
    }
  }

  /** The API server says 422 for many things: only the object tells what happened. */
  async #refreshIfStale(thrown: unknown): Promise<Exclude<LeaseOutcome, { kind: "taken" }>> {
    if (isRejected(thrown)) {
      return { kind: "failed", error: this.#noPlace(thrown) };
    }
    if (!isStale(thrown)) {
      return { kind: "failed", error: toError(thrown) };
    }
    try {
      await this.#options.view.refresh(this.#options.key);
      return { kind: "refused" };
    } catch (error) {
      return { kind: "failed", error: toError(error) };
    }
  }

  /** The object has no room for one more entry, or what stands in it is not allowed: no reading anew mends that. */
  #noPlace(cause: KubeError): SatelliteError {
    const { key, router, logger } = this.#options;
    const error = new SatelliteError(
      "NoPlaceForRouter",
      `satellite ${key} has no place for router ${router} in status.activity (${cause.message}); the operator removes ` +
        "entries of routers that are gone: see whether it runs, or remove some by hand",
      { cause },
    );
    logger.warn("no place for this router's entry", { satellite: key, router, error });
    return error;
  }

  #entry(satellite: Satellite, openStreams: number, drainedEpoch?: number): Lease {
    const { clock } = this.#options;
    this.#seq += 1;
    const oldestStream = this.#oldestStream();
    return {
      seq: this.#seq,
      validSeconds: leaseSeconds(satellite.spec.idleTimeout),
      openStreams,
      time: timestamp(clock.now()),
      ...(drainedEpoch === undefined ? {} : { drainedEpoch }),
      ...(oldestStream === undefined ? {} : { oldestStream }),
    };
  }

  #oldestStream(): Lease["oldestStream"] {
    const { clock } = this.#options;
    const use = this.#streams.oldest ?? this.#oldestHeld;
    if (use === undefined) {
      return undefined;
    }
    const since = new Date(clock.now().getTime() - (clock.monotonicMs() - use.sinceMs));
    return { ...shownUse(use), since: timestamp(since) };
  }

  /** The renewal that is due now replaces whatever was planned. */
  #rearmRenewal(): void {
    this.#renewal?.cancel();
    this.#renewal = undefined;
    this.#scheduleRenewal();
  }

  /** Plans the next renewal while streams are open or held on an epoch that goes on. */
  #scheduleRenewal(): void {
    const { clock, random } = this.#options;
    if (!this.#needsRenewal() || this.#closing) {
      this.#renewal?.cancel();
      this.#renewal = undefined;
      return;
    }
    if (this.#renewal !== undefined || this.#taking !== undefined) {
      return;
    }
    const lease = this.#lease;
    const dueMs = lease === undefined ? 0 : lease.sentAtMs + renewMs(lease.validSeconds);
    const retryInMs = this.#failures === 0 ? 0 : backoffMs(this.#failures - 1, RETRY, random);
    this.#renewal = clock.setTimer(Math.max(dueMs - clock.monotonicMs(), retryInMs), () => {
      this.#renewal = undefined;
      void this.take();
    });
  }

  /** Open streams need a lease; held requests need theirs renewed (the gate takes the first one itself). */
  #needsRenewal(): boolean {
    const satellite = this.#options.view.get(this.#options.key);
    if (satellite === undefined || !isLeasable(satellite)) {
      return false;
    }
    const { epoch } = satellite.status.power;
    return this.#open.has(epoch) || (this.#heldRequests > 0 && this.#lease?.epoch === epoch);
  }

  /** A lease ends with its epoch; the answer to its patch does not overrule news that came before it. */
  #dropEndedLease(): void {
    const satellite = this.#options.view.get(this.#options.key);
    const lease = this.#lease;
    if (
      lease !== undefined &&
      (satellite === undefined ||
        satellite.metadata.uid !== lease.uid ||
        satellite.status.power.epoch !== lease.epoch ||
        !isAwakeOrStarting(satellite))
    ) {
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
    const { clock } = this.#options;
    const delayMs = this.#reportDelayMs();
    this.#report?.cancel();
    this.#report = undefined;
    if (delayMs === undefined || this.#closing) {
      this.#checkIdle();
      return;
    }
    this.#report = clock.setTimer(delayMs, () => {
      this.#report = undefined;
      void this.#inOrder(() => this.#writeReport());
    });
  }

  #reportDelayMs(): number | undefined {
    const { view, key, clock, random } = this.#options;
    const retryInMs = this.#failures === 0 ? 0 : backoffMs(this.#failures - 1, RETRY, random);
    const drainingEpoch = this.#drainingEpoch();
    if (drainingEpoch !== undefined) {
      const nextReportMs = this.#drainReportedAtMs + DRAIN_REPORT_MS - clock.monotonicMs();
      return this.#open.has(drainingEpoch) ? Math.max(retryInMs, nextReportMs, 0) : retryInMs;
    }
    const satellite = view.get(key);
    if (satellite === undefined || this.#openStreams > 0 || !this.#hasNews) {
      return undefined;
    }
    return Math.max(retryInMs, quietMs(leaseSeconds(satellite.spec.idleTimeout)));
  }

  /** Writes the count of open streams, and that the router has drained when it has. */
  async #writeReport(): Promise<void> {
    const { key, view, api, clock, metrics, logger } = this.#options;
    const satellite = view.get(key);
    if (satellite === undefined) {
      this.#hasNews = false;
      return;
    }
    const drainingEpoch = this.#drainingEpoch();
    const isDrained = drainingEpoch !== undefined && !this.#open.has(drainingEpoch);
    this.#hasNews = false;
    this.#drainReportedAtMs = clock.monotonicMs();
    const entry = this.#entry(satellite, this.#openStreams, isDrained ? drainingEpoch : undefined);
    try {
      const written = await api.reportActivity(key, satellite, entry);
      this.#failures = 0;
      metrics.leaseWrites.inc({ result: "ok" });
      view.observe(written);
    } catch (thrown) {
      const outcome = await this.#refreshIfStale(thrown);
      metrics.leaseWrites.inc({ result: outcome.kind });
      logger.warn("could not report open streams", { satellite: key, error: toError(thrown) });
      this.#failures++;
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
      this.#options.onIdle();
    }
  }
}

/**
 * The epoch whose end the operator waits to have acknowledged by this router; `undefined` when it does not wait, or this
 * router has acknowledged it, or has no entry.
 */
export function epochToDrain({ status }: Satellite, router: string): number | undefined {
  const { epoch } = status.power;
  const entry = status.activity[router];
  return isDraining(status.power) && entry !== undefined && entry.drainedEpoch !== epoch ? epoch : undefined;
}

function isAwakeOrStarting(satellite: Satellite): boolean {
  const { state } = satellite.status.power;
  return state === "Running" || state === "Starting";
}

/** A lease on an epoch that is ending would be accepted (its tests name the state), but means nothing. */
function isLeasable(satellite: Satellite): boolean {
  return satellite.spec.desiredPower === "on" && isAwakeOrStarting(satellite);
}
