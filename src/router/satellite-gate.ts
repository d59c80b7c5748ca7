import { backoffMs, type Random } from "../base/backoff.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import { parseKey } from "../kube/objects.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Admission } from "./engine.ts";
import type { HoldBudget } from "./hold-budget.ts";
import { HoldQueue, type HeldRequest } from "./hold-queue.ts";
import {
  apiServerFailed,
  CANCELLED,
  crowdedOut,
  deadlineExceeded,
  holdExpired,
  notAwake,
  operatorStalled,
  otherVm,
  tooManyHeld,
  vmUnreachable,
  type Named,
} from "./hold-refusals.ts";
import { LeaseKeeper, type LeaseOutcome } from "./lease-keeper.ts";
import type { RouterMetrics } from "./metrics.ts";
import type { StreamUse } from "./open-streams.ts";
import type { GateOptions } from "./options.ts";
import type { Prober } from "./prober.ts";
import { Reachability } from "./reachability.ts";
import type { Refusal } from "./refusal.ts";
import { isPermanent, type SatelliteApi } from "./satellite-api.ts";
import type { SatelliteView } from "./satellite-view.ts";
import { standingOf, troubleOf, unknownSatellite, type Standing, type Target } from "./standing.ts";
import { OtherVmError } from "./vm-dial.ts";
import { Waker, type WakeOutcome } from "./wake.ts";
import { WriteQueue } from "./write-queue.ts";

/** What the gates of all satellites share. */
export interface GateContext {
  /** Key of this router in `status.activity`. */
  readonly router: string;
  readonly view: SatelliteView;
  readonly api: SatelliteApi;
  readonly prober: Prober;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: RouterMetrics;
  readonly options: Required<GateOptions>;
  readonly budget: HoldBudget;
}

/** What the gate must know of a request. */
export interface GateRequest {
  readonly use: StreamUse;
  readonly drop: ReadonlySet<string>;
  /** The request's whole time, in milliseconds from its arrival; absent without a deadline. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal;
}

/** For how long an answer of the API server is good for requests that take no lease, in milliseconds. */
const CONFIRMED_MS = 1000;
const LEASE_RETRY = { baseMs: 100, maxMs: 5000 };
/** How long before its deadline a request is told why nothing moves: at the deadline nobody listens any more. */
const MAX_LEAD_MS = 250;
const LEAD_SHARE = 0.05;

/**
 * The gate of one satellite: admits at once while it is awake under a valid lease; else holds requests, has the satellite
 * woken and probed, takes the lease, and lets all go together and in order.
 */
export class SatelliteGate {
  readonly #key: string;
  readonly #context: GateContext;
  readonly #onIdle: () => void;
  readonly #queue: HoldQueue;
  readonly #keeper: LeaseKeeper;
  readonly #waker: Waker;
  readonly #reachability: Reachability;
  #unreachable: Timer | undefined;
  #leasing = false;
  #leaseRetry: Timer | undefined;
  #leaseFailures = 0;
  #confirming: Promise<Error | undefined> | undefined;
  /** Runs while the API server's answer to {@link #confirm} is young. */
  #confirmed: Timer | undefined;
  /** The last error of the API server, named when a request runs out of time. */
  #trouble: Error | undefined;
  #lastChangeAtMs: number;
  /** When the first request came that found the satellite not awake. */
  #wakeSinceMs: number | undefined;

  /** @param onIdle called when this gate holds nothing that must be remembered */
  constructor(key: string, context: GateContext, onIdle: () => void) {
    this.#key = key;
    this.#context = context;
    this.#onIdle = onIdle;
    this.#lastChangeAtMs = context.clock.monotonicMs();
    this.#queue = new HoldQueue({
      namespace: parseKey(key).namespace ?? "",
      max: context.options.maxHeldPerSatellite,
      budget: context.budget,
      onCrowdedOut: () => crowdedOut(this.#named()),
      onChange: (change) => {
        context.metrics.heldRequests.inc(change);
        this.#keeper.setHeldRequests(this.#queue.size, this.#queue.oldest?.use);
      },
    });
    const writes = new WriteQueue();
    this.#keeper = new LeaseKeeper({ ...context, key, writes, onIdle: () => this.#checkIdle() });
    this.#reachability = new Reachability({
      ...context,
      key,
      onAnswered: () => this.#look(),
      onOtherVm: () => this.#onOtherVm(),
    });
    this.#waker = new Waker({
      ...context,
      key,
      writes,
      isWanted: () => this.#queue.size > 0,
      onSettled: (outcome) => this.#onWakeSettled(outcome),
      onTrouble: (error) => {
        this.#trouble = error;
      },
    });
  }

  /** Whether nothing would be lost by forgetting this gate. */
  get isIdle(): boolean {
    const isAsking = this.#leasing || this.#confirming !== undefined || this.#confirmed !== undefined;
    return this.#queue.size === 0 && !this.#waker.isRunning && !isAsking && this.#keeper.isIdle;
  }

  /** Whether a request that is held now would wake the satellite: it sleeps, and no wake is under way. */
  get needsWake(): boolean {
    const satellite = this.#context.view.get(this.#key);
    return satellite !== undefined && standingOf(satellite).kind === "asleep" && !this.#waker.isRunning;
  }

  /** The answer for a request when it needs no waiting. */
  admitNow(drop: ReadonlySet<string>, use: StreamUse): Admission | undefined {
    if (this.#queue.size > 0) {
      return undefined;
    }
    const satellite = this.#context.view.get(this.#key);
    const target = satellite === undefined ? undefined : this.#reachability.openTarget(standingOf(satellite));
    if (satellite === undefined || target === undefined || !this.#keeper.permits(satellite, target.epoch)) {
      return undefined;
    }
    return this.#open(target, drop, use, 0);
  }

  /**
   * The answer for a request that neither wakes the satellite nor keeps it awake: it goes through while the satellite is
   * awake, and is cut when that ends. A lease would keep it awake, so where none is live the API server is asked, lest the
   * request go to a VM of the past.
   */
  pass(drop: ReadonlySet<string>): Admission | Promise<Admission> {
    const { view } = this.#context;
    const satellite = view.get(this.#key);
    const target = satellite === undefined ? undefined : this.#reachability.openTarget(standingOf(satellite));
    const isConfirmed =
      satellite !== undefined &&
      target !== undefined &&
      (this.#keeper.permits(satellite, target.epoch) || this.#confirmed !== undefined);
    if (isConfirmed || target === undefined) {
      return this.#passTo(satellite, target, drop);
    }
    this.#confirming ??= this.#confirm();
    return this.#confirming.then((error) => {
      if (error !== undefined) {
        return apiServerFailed(this.#named(), error);
      }
      const now = view.get(this.#key);
      return this.#passTo(now, now && this.#reachability.openTarget(standingOf(now)), drop);
    });
  }

  /** Holds a request until the satellite is awake, or waiting is hopeless. Never rejects. */
  hold(request: GateRequest): Promise<Admission> {
    if (request.signal.aborted) {
      return Promise.resolve(CANCELLED);
    }
    return new Promise((resolve) => {
      const timers: Timer[] = [];
      const onAbort = (): void => this.#queue.settle(held, CANCELLED);
      const held: HeldRequest = {
        use: request.use,
        drop: request.drop,
        settle: (admission) => {
          for (const timer of timers) {
            timer.cancel();
          }
          request.signal.removeEventListener("abort", onAbort);
          resolve(admission);
          this.#look();
        },
      };
      if (!this.#queue.add(held)) {
        resolve(tooManyHeld(this.#named()));
        return;
      }
      if (this.#queue.size === 1) {
        this.#lastChangeAtMs = this.#context.clock.monotonicMs();
      }
      this.#startTimers(held, request.timeoutMs, timers);
      request.signal.addEventListener("abort", onAbort, { once: true });
      this.#look();
    });
  }

  /** Looks again after a change of the satellite. */
  onSatelliteChange(): void {
    this.#lastChangeAtMs = this.#context.clock.monotonicMs();
    if (this.#context.view.get(this.#key) === undefined) {
      this.#reachability.forget();
    }
    this.#keeper.onSatelliteChange();
    this.#look();
  }

  /** A connection to the VM failed: before anything else goes there, it must answer a probe. */
  onUpstreamFailed(target: Target, error: Error): void {
    this.#reachability.onFailed(target.epoch);
    if (error instanceof OtherVmError) {
      this.#reachability.onOtherVm(target);
    }
    this.#look();
  }

  /** The last act: withdraws this router's lease. Resolves when every write has ended, or `signal` has aborted. */
  async withdraw(signal: AbortSignal): Promise<void> {
    this.#stopProbing();
    this.#leaseRetry?.cancel();
    this.#confirmed?.cancel();
    await this.#waker.stop();
    await this.#keeper.withdraw(signal);
  }

  /** Refuses everything that is held. */
  refuseAll(answer: Refusal): void {
    this.#queue.settleAll(() => answer);
  }

  // --- what to do now -------------------------------------------------------------------------------------------

  /** Does what the satellite's standing asks for, as long as requests wait. */
  #look(): void {
    if (this.#queue.size === 0) {
      this.#stopWaiting();
      return;
    }
    const satellite = this.#context.view.get(this.#key);
    const standing = satellite === undefined ? undefined : standingOf(satellite);
    if (satellite === undefined || standing === undefined) {
      this.refuseAll(unknownSatellite(this.#key));
      return;
    }
    if (standing.kind === "hopeless") {
      this.refuseAll(standing.refusal);
      return;
    }
    const target = this.#reachability.openTarget(standing);
    if (target !== undefined) {
      this.#letIn(satellite, target);
      return;
    }
    this.#wakeSinceMs ??= this.#context.clock.monotonicMs();
    this.#awaken(satellite, standing);
  }

  #letIn(satellite: Satellite, target: Target): void {
    this.#stopProbing();
    if (this.#keeper.permits(satellite, target.epoch)) {
      this.#release(target);
    } else {
      this.#takeLease();
    }
  }

  #awaken(satellite: Satellite, standing: Standing): void {
    if (standing.kind === "asleep") {
      this.#stopProbing();
      this.#waker.wake();
      return;
    }
    if (standing.kind !== "awake" && standing.kind !== "starting") {
      this.#stopProbing();
      return;
    }
    if (!this.#keeper.permits(satellite, standing.target.epoch)) {
      // Ahead of the VM, so that its first answer opens the gate without another round trip.
      this.#takeLease();
    }
    if (standing.kind === "awake") {
      this.#awaitReachable();
    }
    this.#reachability.probe(standing.target);
  }

  #stopWaiting(): void {
    this.#stopProbing();
    this.#leaseRetry?.cancel();
    this.#leaseRetry = undefined;
    this.#leaseFailures = 0;
    this.#wakeSinceMs = undefined;
    this.#trouble = undefined;
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (this.isIdle) {
      this.#onIdle();
    }
  }

  /** Reads the satellite from the API server; once for all that wait for it. Resolves with what went wrong. */
  async #confirm(): Promise<Error | undefined> {
    const { clock, view } = this.#context;
    const sentAtMs = clock.monotonicMs();
    try {
      await view.refresh(this.#key);
      this.#confirmed = clock.setTimer(sentAtMs + CONFIRMED_MS - clock.monotonicMs(), () => {
        this.#confirmed = undefined;
        this.#checkIdle();
      });
      return undefined;
    } catch (error) {
      return toError(error);
    } finally {
      this.#confirming = undefined;
      this.#checkIdle();
    }
  }

  #passTo(
    satellite: Satellite | undefined,
    target: Target | undefined,
    drop: ReadonlySet<string>,
  ): Admission {
    if (satellite === undefined) {
      return unknownSatellite(this.#key);
    }
    if (target === undefined) {
      const standing = standingOf(satellite);
      return standing.kind === "hopeless" ? standing.refusal : notAwake(this.#named());
    }
    const { streamsOpen } = this.#context.metrics;
    streamsOpen.inc();
    return this.#forward(target, drop, 0, () => streamsOpen.dec());
  }

  // --- release --------------------------------------------------------------------------------------------------

  #release(target: Target): void {
    const { clock, metrics } = this.#context;
    const nowMs = clock.monotonicMs();
    if (this.#wakeSinceMs !== undefined) {
      metrics.wakeSeconds.observe((nowMs - this.#wakeSinceMs) / 1000);
    }
    this.#queue.settleAll(({ drop, use }) => this.#open(target, drop, use, nowMs - use.sinceMs));
  }

  /** A stream that keeps the satellite awake. */
  #open(target: Target, drop: ReadonlySet<string>, use: StreamUse, heldMs: number): Admission {
    const stream = this.#keeper.streamOpened(target.epoch, use);
    return this.#forward(target, drop, heldMs, () => this.#keeper.streamClosed(stream));
  }

  #forward(target: Target, drop: ReadonlySet<string>, heldMs: number, onRelease: () => void): Admission {
    let released = false;
    return {
      kind: "forward",
      upstream: {
        satellite: this.#key,
        epoch: target.epoch,
        host: target.host,
        port: target.port,
        tlsFingerprint: target.tlsFingerprint,
      },
      drop,
      heldMs,
      release: () => {
        if (released) {
          throw new SatelliteError(
            "ReleasedTwice",
            "an admission was released twice; this is a bug in an engine",
          );
        }
        released = true;
        onRelease();
      },
    };
  }

  // --- wake, lease and probe ------------------------------------------------------------------------------------

  #onWakeSettled(outcome: WakeOutcome): void {
    if (outcome.kind === "woken") {
      this.#context.metrics.wakes.inc();
      this.#trouble = undefined;
    } else if (outcome.kind === "failed") {
      this.#context.logger.error("could not wake the satellite", {
        satellite: this.#key,
        error: outcome.error,
      });
      this.refuseAll(apiServerFailed(this.#named(), outcome.error));
    }
    this.#look();
  }

  #takeLease(): void {
    if (this.#leasing || this.#leaseRetry !== undefined) {
      return;
    }
    this.#leasing = true;
    void this.#awaitLease();
  }

  async #awaitLease(): Promise<void> {
    const outcome = await this.#keeper.take();
    this.#leasing = false;
    this.#onLeaseSettled(outcome);
  }

  #onLeaseSettled(outcome: LeaseOutcome): void {
    if (outcome.kind === "taken") {
      this.#leaseFailures = 0;
      this.#trouble = undefined;
      this.#look();
      return;
    }
    if (outcome.kind === "failed") {
      this.#trouble = outcome.error;
      if (isPermanent(outcome.error)) {
        this.#context.logger.error("could not take a lease", {
          satellite: this.#key,
          error: outcome.error,
        });
        this.refuseAll(apiServerFailed(this.#named(), outcome.error));
      }
    }
    this.#leaseFailures++;
    if (outcome.kind === "refused" && this.#leaseFailures === 1) {
      // Our knowledge was old and is new now.
      this.#look();
      return;
    }
    this.#retryLeaseLater();
  }

  #retryLeaseLater(): void {
    const { clock, random } = this.#context;
    if (this.#queue.size > 0) {
      this.#leaseRetry ??= clock.setTimer(backoffMs(this.#leaseFailures - 1, LEASE_RETRY, random), () => {
        this.#leaseRetry = undefined;
        this.#look();
      });
    }
    this.#checkIdle();
  }

  #stopProbing(): void {
    this.#reachability.stopProbing();
    this.#unreachable?.cancel();
    this.#unreachable = undefined;
  }

  /** A VM that is said to run but does not answer is given a while: the operator may find that it needs a start. */
  #awaitReachable(): void {
    if (this.#unreachable !== undefined) {
      return;
    }
    const { clock, options } = this.#context;
    this.#refresh();
    this.#unreachable = clock.setTimer(options.unreachableMs, () => {
      this.#unreachable = undefined;
      this.refuseAll(this.#strangerMet() ?? vmUnreachable(this.#named(), options.unreachableMs));
    });
  }

  /** What is known of the satellite is old, or its address was given away: either way the API server knows more. */
  #onOtherVm(): void {
    this.#context.logger.warn("another VM answers at the satellite's address", { satellite: this.#key });
    this.#refresh();
  }

  #refresh(): void {
    const { view, logger } = this.#context;
    view.refresh(this.#key).catch((error: unknown) => {
      logger.debug("could not read the satellite anew", { satellite: this.#key, error });
    });
  }

  /** The answer where another VM was met than the satellite's. */
  #strangerMet(): Refusal | undefined {
    const satellite = this.#context.view.get(this.#key);
    return satellite !== undefined && this.#reachability.isOtherVm(standingOf(satellite))
      ? otherVm(this.#named())
      : undefined;
  }

  // --- time runs out --------------------------------------------------------------------------------------------

  #startTimers(held: HeldRequest, timeoutMs: number | undefined, timers: Timer[]): void {
    const { clock, options } = this.#context;
    const pastMs = clock.monotonicMs() - held.use.sinceMs;
    if (timeoutMs !== undefined && timeoutMs <= options.maxHoldMs) {
      const leadMs = Math.min(MAX_LEAD_MS, timeoutMs * LEAD_SHARE);
      timers.push(
        clock.setTimer(timeoutMs - leadMs - pastMs, () => {
          const reason = this.#whyNothingMoves() ?? this.#lateFor(timeoutMs);
          if (reason !== undefined) {
            this.#queue.settle(held, reason);
          }
        }),
        clock.setTimer(timeoutMs - pastMs, () =>
          this.#queue.settle(held, deadlineExceeded(this.#named(), timeoutMs)),
        ),
      );
      return;
    }
    timers.push(
      clock.setTimer(options.maxHoldMs, () => {
        const reason = this.#whyNothingMoves();
        this.#queue.settle(held, reason ?? holdExpired(this.#named(), options.maxHoldMs));
      }),
    );
  }

  /** The reason for which waiting brings nothing, where one is known. */
  #whyNothingMoves(): Refusal | undefined {
    const { clock, options, view } = this.#context;
    if (this.#trouble !== undefined) {
      return apiServerFailed(this.#named(), this.#trouble);
    }
    const satellite = view.get(this.#key);
    const stillMs = clock.monotonicMs() - this.#lastChangeAtMs;
    if (
      satellite?.spec.desiredPower === "on" &&
      satellite.status.power.state === "Off" &&
      stillMs >= options.stalledMs
    ) {
      return operatorStalled(this.#named(), stillMs);
    }
    return this.#strangerMet();
  }

  /** That the deadline passes, where the satellite's conditions say why. */
  #lateFor(timeoutMs: number): Refusal | undefined {
    const named = this.#named();
    return named.trouble === undefined ? undefined : deadlineExceeded(named, timeoutMs);
  }

  #named(): Named {
    const satellite = this.#context.view.get(this.#key);
    return {
      key: this.#key,
      phase: satellite?.status.phase,
      trouble: satellite === undefined ? undefined : troubleOf(satellite),
    };
  }
}
