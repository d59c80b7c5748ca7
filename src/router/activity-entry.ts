import { backoffMs, type Random } from "../base/backoff.ts";
import { sleep, type Clock } from "../base/clock.ts";
import { SatelliteError, toError } from "../base/errors.ts";
import { isRejected, type KubeError } from "../kube/errors.ts";
import { timestamp } from "../satellite/conditions.ts";
import type { Lease } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Logger } from "../telemetry/logger.ts";
import { leaseSeconds } from "./lease-terms.ts";
import type { RouterMetrics } from "./metrics.ts";
import { shownUse, type StreamUse } from "./open-streams.ts";
import { isPermanent, isStale, type SatelliteApi } from "./satellite-api.ts";
import type { SatelliteView } from "./satellite-view.ts";

/** Options of {@link ActivityEntry}. */
export interface ActivityEntryOptions {
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
}

/** Who uses a satellite through this router. */
export interface Usage {
  readonly openStreams: number;
  readonly oldest: StreamUse | undefined;
}

/** How a write of the entry ended. */
export type WriteOutcome =
  | { readonly kind: "written"; readonly satellite: Satellite }
  /** The satellite is not what the router thought; it has been read anew. */
  | { readonly kind: "refused"; readonly error: Error }
  | { readonly kind: "failed"; readonly error: Error };

/**
 * A process begins to count at random: a late lease of the process before, under the same name, must not bear the
 * number of a new one (docs/decisions/0014).
 */
const FIRST_SEQ_BELOW = 2 ** 48;
const RETRY = { baseMs: 200, maxMs: 10_000 };

/** This router's entry in `status.activity` of one satellite: writes it and removes it. Nothing is decided here. */
export class ActivityEntry {
  readonly #options: ActivityEntryOptions;
  readonly #firstSeq: number;
  #seq: number;
  /** Writes that failed since the last one that did not. */
  #failures = 0;

  constructor(options: ActivityEntryOptions) {
    this.#options = options;
    this.#firstSeq = Math.floor(options.random() * FIRST_SEQ_BELOW);
    this.#seq = this.#firstSeq;
  }

  /** Milliseconds to wait before the next write, after one that failed. */
  retryInMs(): number {
    return this.#failures === 0 ? 0 : backoffMs(this.#failures - 1, RETRY, this.#options.random);
  }

  /** Takes or renews the lease on the satellite's present epoch. */
  lease(satellite: Satellite, usage: Usage): Promise<WriteOutcome> {
    const { key, api } = this.#options;
    return this.#write(() => api.lease(key, satellite, this.#compose(satellite, usage)));
  }

  /** Says how many streams are open, which takes no lease, and which epoch this router has drained. */
  report(satellite: Satellite, usage: Usage, drainedEpoch: number | undefined): Promise<WriteOutcome> {
    const { key, api } = this.#options;
    return this.#write(() => {
      const entry = this.#compose(satellite, usage);
      const told = drainedEpoch === undefined ? entry : { ...entry, drainedEpoch };
      return api.reportActivity(key, satellite, told);
    });
  }

  /** Removes the entry, where this process wrote it; tries until that is done, is not allowed any more, or `signal` aborts. */
  async remove(signal: AbortSignal): Promise<void> {
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
        if (isPermanent(error)) {
          // An uninstallation takes the router's rights away before its pod ends.
          return;
        }
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

  #compose({ spec }: Satellite, { openStreams, oldest }: Usage): Lease {
    const { clock } = this.#options;
    this.#seq += 1;
    return {
      seq: this.#seq,
      validSeconds: leaseSeconds(spec.idleTimeout),
      openStreams,
      time: timestamp(clock.now()),
      ...(oldest === undefined
        ? {}
        : { oldestStream: { ...shownUse(oldest), since: this.#sinceOf(oldest) } }),
    };
  }

  #sinceOf({ sinceMs }: StreamUse): string {
    const { clock } = this.#options;
    return timestamp(new Date(clock.now().getTime() - (clock.monotonicMs() - sinceMs)));
  }

  async #write(send: () => Promise<Satellite>): Promise<WriteOutcome> {
    const { metrics } = this.#options;
    try {
      const satellite = await send();
      this.#failures = 0;
      metrics.leaseWrites.inc({ result: "ok" });
      return { kind: "written", satellite };
    } catch (thrown) {
      const outcome = await this.#judge(thrown);
      this.#failures++;
      metrics.leaseWrites.inc({ result: outcome.kind });
      return outcome;
    }
  }

  /** The API server says 422 for many things: only the object tells what happened. */
  async #judge(thrown: unknown): Promise<WriteOutcome> {
    if (isRejected(thrown)) {
      return { kind: "failed", error: this.#noPlace(thrown) };
    }
    if (!isStale(thrown)) {
      return { kind: "failed", error: toError(thrown) };
    }
    try {
      await this.#options.view.refresh(this.#options.key);
      return { kind: "refused", error: toError(thrown) };
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
}
