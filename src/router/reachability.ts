import type { Clock, Timer } from "../base/clock.ts";
import { SatelliteError } from "../base/errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Prober } from "./prober.ts";
import type { Standing, Target } from "./standing.ts";

/** Options of {@link Reachability}. */
export interface ReachabilityOptions {
  readonly key: string;
  readonly prober: Prober;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For how long a VM that is said to run may leave probes unanswered, in milliseconds. */
  readonly unreachableMs: number;
  /** Called when a probe has been answered. */
  readonly onAnswered: () => void;
  /**
   * Called when a VM that is said to run is probed, and once for each target where another VM was met: what is known of
   * the satellite is old, or its address was given away.
   */
  readonly onDoubt: () => void;
  /** Called when the time of a VM that is said to run is over. */
  readonly onUnreachable: () => void;
}

/** Why a probe is given up; nobody sees it. */
const STOPPED = new SatelliteError("Stopped", "nobody waits for the probe any more");

/**
 * Whether this router may send requests to a satellite's VM: when the operator says that it runs, unless it failed this
 * router; or when it answered this router's own probe in the present epoch.
 */
export class Reachability {
  readonly #options: ReachabilityOptions;
  /** The epoch whose VM answered a probe. */
  #answeredEpoch: number | undefined;
  /** The epoch whose VM failed although it is said to run: it must answer a probe first. */
  #suspectEpoch: number | undefined;
  #probe: { readonly target: Target; readonly abort: AbortController } | undefined;
  /** Runs while a VM that is said to run is probed. */
  #patience: Timer | undefined;
  /** Where another VM was met than the satellite's. */
  #strangerAt: Target | undefined;

  constructor(options: ReachabilityOptions) {
    this.#options = options;
  }

  /** Where requests may go now, under a lease. */
  openTarget(standing: Standing): Target | undefined {
    if (standing.kind !== "awake" && standing.kind !== "starting") {
      return undefined;
    }
    const { target } = standing;
    const isTrusted = standing.kind === "awake" && this.#suspectEpoch !== target.epoch;
    return isTrusted || this.#answeredEpoch === target.epoch ? target : undefined;
  }

  /** Whether the last that answered at the satellite's address was another VM. */
  isOtherVm(standing: Standing): boolean {
    return "target" in standing && isSame(standing.target, this.#strangerAt);
  }

  /** Another VM was met where the satellite's should be. */
  onOtherVm(target: Target): void {
    if (!isSame(target, this.#strangerAt)) {
      const { key, logger, onDoubt } = this.#options;
      this.#strangerAt = target;
      logger.warn("another VM answers at the satellite's address", { satellite: key });
      onDoubt();
    }
  }

  /** A connection to the VM failed. */
  onFailed(epoch: number): void {
    if (this.#answeredEpoch === epoch) {
      this.#answeredEpoch = undefined;
    }
    this.#suspectEpoch = epoch;
  }

  /** The satellite is gone; another of its name counts its epochs anew. */
  forget(): void {
    this.stopProbing();
    this.#answeredEpoch = undefined;
    this.#suspectEpoch = undefined;
    this.#strangerAt = undefined;
  }

  /**
   * Probes until the VM answers, unless that is being done already.
   *
   * @param isSaidToRun then it is given a while: the operator may find that it needs a start
   */
  probe(target: Target, isSaidToRun: boolean): void {
    if (isSaidToRun && this.#patience === undefined) {
      const { clock, unreachableMs, onDoubt, onUnreachable } = this.#options;
      onDoubt();
      this.#patience = clock.setTimer(unreachableMs, () => {
        this.#patience = undefined;
        onUnreachable();
      });
    }
    if (!isSame(target, this.#probe?.target)) {
      this.#endProbe();
      void this.#awaitAnswer(target);
    }
  }

  stopProbing(): void {
    this.#endProbe();
    this.#patience?.cancel();
    this.#patience = undefined;
  }

  #endProbe(): void {
    this.#probe?.abort.abort(STOPPED);
    this.#probe = undefined;
  }

  async #awaitAnswer(target: Target): Promise<void> {
    const { key, prober, logger, onAnswered } = this.#options;
    const probe = { target, abort: new AbortController() };
    this.#probe = probe;
    try {
      await prober.untilAnswers(target, probe.abort.signal, () => this.onOtherVm(target));
    } catch (error) {
      if (!probe.abort.signal.aborted) {
        logger.error("the prober failed", { satellite: key, error });
      }
      return;
    }
    if (this.#probe === probe) {
      this.#probe = undefined;
      this.#answeredEpoch = target.epoch;
      this.#suspectEpoch = undefined;
      this.#strangerAt = undefined;
      onAnswered();
    }
  }
}

function isSame(left: Target, right: Target | undefined): boolean {
  return (
    left.epoch === right?.epoch &&
    left.host === right.host &&
    left.port === right.port &&
    left.tlsFingerprint === right.tlsFingerprint
  );
}
