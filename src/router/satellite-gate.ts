import { parseKey } from "../kube/objects.ts";
import { Confirmation } from "./confirmation.ts";
import type { Admission } from "./engine.ts";
import { forward } from "./forward.ts";
import type { GateContext } from "./gate-context.ts";
import { startDeadline } from "./hold-deadline.ts";
import { decideHeld, whyNothingMoves, type GateDecision } from "./hold-decision.ts";
import { HoldQueue, type HeldRequest } from "./hold-queue.ts";
import {
  apiServerFailed,
  CANCELLED,
  crowdedOut,
  notAwake,
  otherVm,
  tooManyHeld,
  vmUnreachable,
  type Named,
} from "./hold-refusals.ts";
import { LeaseKeeper, type LeaseOutcome } from "./lease-keeper.ts";
import { LeaseSeeker } from "./lease-seeker.ts";
import type { StreamUse } from "./open-streams.ts";
import { Reachability } from "./reachability.ts";
import type { Refusal } from "./refusal.ts";
import { isPermanent } from "./satellite-api.ts";
import { standingOf, troubleOf, unknownSatellite, type Standing, type Target } from "./standing.ts";
import { OtherVmError } from "./vm-dial.ts";
import { Waker, type WakeOutcome } from "./wake.ts";
import { WriteQueue } from "./write-queue.ts";

/** What the gate must know of a request. */
export interface GateRequest {
  readonly use: StreamUse;
  readonly drop: ReadonlySet<string>;
  /** The request's whole time, in milliseconds from its arrival; absent without a deadline. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal;
}

/**
 * The gate of one satellite: admits at once while it is awake under a valid lease; else holds requests, has the satellite
 * woken and probed, takes the lease, and lets all go together and in order.
 *
 * Whatever happens is noted first, and ends the waits that it ends; then the gate looks once at what is left
 * ({@link decideHeld}) and carries that one decision out.
 */
export class SatelliteGate {
  readonly #key: string;
  readonly #context: GateContext;
  readonly #onIdle: () => void;
  readonly #queue: HoldQueue;
  readonly #keeper: LeaseKeeper;
  readonly #leaseSeeker: LeaseSeeker;
  readonly #waker: Waker;
  readonly #reachability: Reachability;
  readonly #confirmation: Confirmation;
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
      onCrowdedOut: (held) => this.#settle(held, crowdedOut(this.#named())),
      onChange: (change) => {
        context.metrics.heldRequests.inc(change);
        this.#keeper.setHeldRequests(this.#queue.size, this.#queue.oldest?.use);
      },
    });
    const writes = new WriteQueue();
    this.#keeper = new LeaseKeeper({ ...context, key, writes, onIdle: () => this.#checkIdle() });
    this.#leaseSeeker = new LeaseSeeker({
      ...context,
      keeper: this.#keeper,
      onOutcome: (outcome) => this.#onLeaseSettled(outcome),
      onRetry: () => this.#look(),
    });
    this.#confirmation = new Confirmation({ ...context, key, onChange: () => this.#checkIdle() });
    this.#reachability = new Reachability({
      ...context,
      key,
      onAnswered: () => this.#look(),
      unreachableMs: context.options.unreachableMs,
      onDoubt: () => this.#refresh(),
      onUnreachable: () => this.#onUnreachable(),
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
    const isAsking = this.#leaseSeeker.isTaking || !this.#confirmation.isIdle;
    return this.#queue.size === 0 && !this.#waker.isRunning && !isAsking && this.#keeper.isIdle;
  }

  /** Whether a request that is held now would wake the satellite: it sleeps, and no wake is under way. */
  get needsWake(): boolean {
    return this.#standing()?.kind === "asleep" && !this.#waker.isRunning;
  }

  /** The answer for a request when it needs no waiting. */
  admitNow(drop: ReadonlySet<string>, use: StreamUse): Admission | undefined {
    const satellite = this.#queue.size > 0 ? undefined : this.#context.view.get(this.#key);
    const target = satellite === undefined ? undefined : this.#openTarget(standingOf(satellite));
    return satellite !== undefined && target !== undefined && this.#keeper.permits(satellite, target.epoch)
      ? this.#open(target, drop, use, 0)
      : undefined;
  }

  /**
   * The answer for a request that neither wakes the satellite nor keeps it awake: it goes through while the satellite is
   * awake, and is cut when that ends. A lease would keep it awake, so where none is live the API server is asked, lest the
   * request go to a VM of the past.
   */
  pass(drop: ReadonlySet<string>): Admission | Promise<Admission> {
    const target = this.#openTarget(this.#standing());
    if (target === undefined || this.#isLeased(target) || this.#confirmation.isFresh) {
      return this.#passNow(drop);
    }
    return this.#confirmation
      .read()
      .then((error) => (error === undefined ? this.#passNow(drop) : apiServerFailed(this.#named(), error)));
  }

  /** Holds a request until the satellite is awake, or waiting is hopeless. Never rejects. */
  hold({ use, drop, timeoutMs, signal }: GateRequest): Promise<Admission> {
    if (signal.aborted) {
      return Promise.resolve(CANCELLED);
    }
    const { clock, options } = this.#context;
    return new Promise((resolve) => {
      const onAbort = (): void => this.#settle(held, CANCELLED);
      const settle = (admission: Admission): void => {
        deadline.cancel();
        signal.removeEventListener("abort", onAbort);
        resolve(admission);
      };
      const held: HeldRequest = { use, drop, settle };
      if (!this.#queue.add(held)) {
        resolve(tooManyHeld(this.#named()));
        return;
      }
      if (this.#queue.size === 1) {
        this.#lastChangeAtMs = clock.monotonicMs();
      }
      const deadline = startDeadline({
        clock,
        sinceMs: use.sinceMs,
        timeoutMs,
        maxHoldMs: options.maxHoldMs,
        named: () => this.#named(),
        whyNothingMoves: () => this.#whyNothingMoves(),
        onExpired: (refusal) => this.#settle(held, refusal),
      });
      signal.addEventListener("abort", onAbort, { once: true });
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
    this.#reachability.stopProbing();
    this.#leaseSeeker.rest();
    this.#confirmation.stop();
    await this.#waker.stop();
    await this.#keeper.withdraw(signal);
  }

  /** Refuses everything that is held. */
  refuseAll(answer: Refusal): void {
    this.#queue.settleAll(() => answer);
    this.#look();
  }

  /** Ends one request's wait. */
  #settle(held: HeldRequest, admission: Admission): void {
    this.#queue.settle(held, admission);
    this.#look();
  }

  /** Looks at what is known, and does what the requests that wait need. */
  #look(): void {
    const standing = this.#standing();
    const target = this.#openTarget(standing);
    this.#perform(
      decideHeld({
        key: this.#key,
        heldRequests: this.#queue.size,
        standing,
        isReachable: target !== undefined,
        isLeased: standing !== undefined && "target" in standing && this.#isLeased(standing.target),
      }),
    );
  }

  #perform(decision: GateDecision): void {
    if (decision.kind !== "probe") {
      this.#reachability.stopProbing();
    }
    switch (decision.kind) {
      case "refuse":
        this.#queue.settleAll(() => decision.refusal);
        this.#rest();
        break;
      case "release":
        this.#release(decision.target);
        this.#rest();
        break;
      case "rest":
        this.#rest();
        break;
      case "lease":
        this.#leaseSeeker.seek();
        break;
      case "wake":
        this.#noteWaking();
        this.#waker.wake();
        break;
      case "wait":
        this.#noteWaking();
        break;
      case "probe":
        this.#noteWaking();
        if (decision.needsLease) {
          this.#leaseSeeker.seek();
        }
        this.#reachability.probe(decision.target, decision.isSaidToRun);
        break;
    }
  }

  #noteWaking(): void {
    this.#wakeSinceMs ??= this.#context.clock.monotonicMs();
  }

  #rest(): void {
    this.#leaseSeeker.rest();
    this.#wakeSinceMs = undefined;
    this.#trouble = undefined;
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (this.isIdle) {
      this.#onIdle();
    }
  }

  #standing(): Standing | undefined {
    const satellite = this.#context.view.get(this.#key);
    return satellite === undefined ? undefined : standingOf(satellite);
  }

  /** Where requests may go now, under a lease. */
  #openTarget(standing: Standing | undefined): Target | undefined {
    return standing === undefined ? undefined : this.#reachability.openTarget(standing);
  }

  #isLeased({ epoch }: Target): boolean {
    const satellite = this.#context.view.get(this.#key);
    return satellite !== undefined && this.#keeper.permits(satellite, epoch);
  }

  /** Whether the last that answered at the satellite's address was another VM. */
  #isOtherVm(): boolean {
    const standing = this.#standing();
    return standing !== undefined && this.#reachability.isOtherVm(standing);
  }

  #whyNothingMoves(): Refusal | undefined {
    const { clock, options, view } = this.#context;
    const satellite = view.get(this.#key);
    return whyNothingMoves(this.#named(), {
      trouble: this.#trouble,
      isOperatorsTurn: satellite?.spec.desiredPower === "on" && satellite.status.power.state === "Off",
      stillMs: clock.monotonicMs() - this.#lastChangeAtMs,
      stalledMs: options.stalledMs,
      isOtherVm: this.#isOtherVm(),
    });
  }

  #named(): Named {
    const satellite = this.#context.view.get(this.#key);
    return {
      key: this.#key,
      phase: satellite?.status.phase,
      trouble: satellite === undefined ? undefined : troubleOf(satellite),
    };
  }

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
    return forward({ satellite: this.#key, target, drop, heldMs }, () => this.#keeper.streamClosed(stream));
  }

  /** A stream that does not keep the satellite awake, where it is awake. */
  #passNow(drop: ReadonlySet<string>): Admission {
    const standing = this.#standing();
    const target = this.#openTarget(standing);
    if (standing === undefined) {
      return unknownSatellite(this.#key);
    }
    if (target === undefined) {
      return standing.kind === "hopeless" ? standing.refusal : notAwake(this.#named());
    }
    const { requests } = this.#context.metrics;
    requests.streamOpened();
    return forward({ satellite: this.#key, target, drop, heldMs: 0 }, () => requests.streamClosed());
  }

  #onWakeSettled(outcome: WakeOutcome): void {
    if (outcome.kind === "woken") {
      this.#context.metrics.wakes.inc();
      this.#trouble = undefined;
    } else if (outcome.kind === "failed") {
      this.#fail("could not wake the satellite", outcome.error);
    }
    this.#look();
  }

  #onLeaseSettled(outcome: LeaseOutcome): void {
    if (outcome.kind === "taken") {
      this.#trouble = undefined;
    } else if (outcome.kind === "failed") {
      this.#trouble = outcome.error;
      if (isPermanent(outcome.error)) {
        this.#fail("could not take a lease", outcome.error);
      }
    }
    this.#look();
  }

  /** The API server will not have it: ends all waits. */
  #fail(message: string, error: Error): void {
    this.#context.logger.error(message, { satellite: this.#key, error });
    this.#queue.settleAll(() => apiServerFailed(this.#named(), error));
  }

  #onUnreachable(): void {
    const named = this.#named();
    this.refuseAll(
      this.#isOtherVm() ? otherVm(named) : vmUnreachable(named, this.#context.options.unreachableMs),
    );
  }

  /** What is known of the satellite may be old: the API server knows more. */
  #refresh(): void {
    const { view, logger } = this.#context;
    view.refresh(this.#key).catch((error: unknown) => {
      logger.debug("could not read the satellite anew", { satellite: this.#key, error });
    });
  }
}
