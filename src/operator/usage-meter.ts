import type { Registry } from "@prometheus-io/client";
import type { Clock } from "../base/clock.ts";
import { parseDurationMs } from "../base/duration.ts";
import type { ObjectCache } from "../kube/cache.ts";
import { keyString, objectKey } from "../kube/objects.ts";
import type { MachineCloud } from "../machines/cloud.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import { launchDetailsOf } from "./older-status.ts";
import { knownCloud } from "./unknown-cloud.ts";
import { createUsageMetrics, type UsageLabels, type UsageMetrics } from "./usage-metrics.ts";
import { usageRates, usageState, type UsageRates, type UsageState } from "../satellite/usage-rates.ts";

/** Options of {@link UsageMeter}. */
export interface UsageMeterOptions {
  readonly clock: Clock;
  readonly registry: Registry;
  /** Most pairs of namespace and class that have time series of their own; all others share one. Default 1,000. */
  readonly maxPairs?: number;
}

/** The operator's caches, for who watches them. */
export interface WatchedCaches {
  readonly satellites: Pick<ObjectCache<Satellite>, "list" | "subscribe">;
  readonly classes: Pick<ObjectCache<SatelliteClass>, "get" | "subscribe">;
}

/** What usage is counted from. */
export interface UsageSources extends WatchedCaches {
  /** The cloud of a class, which knows how large its machines' disks are. */
  readonly cloudOf: (satelliteClass: SatelliteClass) => Pick<MachineCloud, "diskGiB">;
}

/** What one satellite has done and cost since it was last settled. */
interface Account {
  readonly satellite: Satellite;
  readonly state: UsageState | undefined;
  readonly rates: UsageRates | undefined;
  readonly atMs: number;
}

const DEFAULT_MAX_PAIRS = 1_000;
/** Stands for all pairs beyond the bound. No namespace begins with an underscore. */
const OTHERS: UsageLabels = { satellite_namespace: "_others", class: "_others" };

/**
 * Counts what satellites do and cost, by namespace and class. It counts from one change of a satellite to the next, so that
 * the figures are exact however rarely they are scraped; and only while this process leads, so that nothing counts twice.
 */
export class UsageMeter {
  readonly #clock: Clock;
  readonly #metrics: UsageMetrics;
  readonly #maxPairs: number;
  readonly #labels = new Map<string, UsageLabels>();
  /** By key; empty while another process leads. */
  readonly #accounts = new Map<string, Account>();
  #sources: UsageSources | undefined;
  #counts = false;

  constructor({ clock, registry, maxPairs = DEFAULT_MAX_PAIRS }: UsageMeterOptions) {
    this.#clock = clock;
    this.#maxPairs = maxPairs;
    this.#metrics = createUsageMetrics(registry, () => this.#settleAll());
  }

  /** Subscribes to these caches. To be called once. */
  follow(sources: UsageSources): void {
    this.#sources = sources;
    sources.satellites.subscribe({
      added: (satellite) => this.#observe(satellite),
      updated: (satellite) => this.#observe(satellite),
      deleted: (satellite) => this.#close(keyString(objectKey(satellite))),
    });
    const onClass = (): void => this.#settleAll();
    sources.classes.subscribe({ added: onClass, updated: onClass, deleted: onClass });
  }

  /** Counts from now on: this process leads. */
  begin(): void {
    this.#counts = true;
    for (const satellite of this.#sources?.satellites.list() ?? []) {
      this.#observe(satellite);
    }
  }

  /** Counts up to now: another process may lead. */
  end(): void {
    for (const key of this.#accounts.keys()) {
      this.#close(key);
    }
    this.#counts = false;
    this.#metrics.longestAwake.reset();
    this.#metrics.fullestCache.reset();
  }

  #observe(satellite: Satellite): void {
    if (!this.#counts) {
      return;
    }
    const key = keyString(objectKey(satellite));
    const before = this.#accounts.get(key);
    if (before !== undefined) {
      this.#settle(before);
      const begun = satellite.status.power.epoch - before.satellite.status.power.epoch;
      if (begun > 0) {
        this.#metrics.starts.inc({ ...this.#labelsOf(satellite) }, begun);
      }
    }
    this.#accounts.set(key, this.#open(satellite));
  }

  #open(satellite: Satellite): Account {
    const state = usageState(satellite);
    const satelliteClass = this.#sources?.classes.get(satellite.spec.className);
    return {
      satellite,
      state,
      rates:
        state === undefined
          ? undefined
          : usageRates(state, satellite, satelliteClass, this.#diskGiB(satellite, satelliteClass)),
      atMs: this.#clock.monotonicMs(),
    };
  }

  #diskGiB({ status: { launch } }: Satellite, satelliteClass: SatelliteClass | undefined): number {
    if (satelliteClass === undefined || this.#sources === undefined) {
      return 0;
    }
    const details = launch === undefined ? undefined : launchDetailsOf(launch);
    return knownCloud(satelliteClass, this.#sources.cloudOf)?.diskGiB(satelliteClass.spec, details) ?? 0;
  }

  #close(key: string): void {
    const account = this.#accounts.get(key);
    if (account !== undefined) {
      this.#settle(account);
      this.#accounts.delete(key);
    }
  }

  /** Settles all accounts by the rates that were valid until now, and opens them by those that are valid from now on. */
  #settleAll(): void {
    const longest = new Map<UsageLabels, number>();
    const fullest = new Map<UsageLabels, number>();
    for (const [key, account] of this.#accounts) {
      this.#settle(account);
      this.#accounts.set(key, this.#open(account.satellite));
      const labels = this.#labelsOf(account.satellite);
      const awakeSeconds = this.#awakeSeconds(account.satellite);
      longest.set(labels, Math.max(longest.get(labels) ?? 0, awakeSeconds));
      const { cacheBytes, cacheMaxBytes = 0 } = account.satellite.status.machine?.buildkit ?? {};
      if (cacheBytes !== undefined && cacheMaxBytes > 0) {
        fullest.set(labels, Math.max(fullest.get(labels) ?? 0, cacheBytes / cacheMaxBytes));
      }
    }
    setAll(this.#metrics.longestAwake, longest);
    setAll(this.#metrics.fullestCache, fullest);
  }

  #settle({ satellite, state, rates, atMs }: Account): void {
    const seconds = (this.#clock.monotonicMs() - atMs) / 1000;
    if (state === undefined || rates === undefined || seconds <= 0) {
      return;
    }
    const labels = this.#labelsOf(satellite);
    this.#metrics.seconds.inc({ ...labels, state }, seconds);
    if (rates.isUnpriced) {
      this.#metrics.unpricedSeconds.inc({ ...labels }, seconds);
    }
    const { currency } = rates;
    if (currency !== undefined) {
      this.#metrics.cost.inc({ ...labels, currency, part: "machine" }, seconds * rates.machine);
      this.#metrics.cost.inc({ ...labels, currency, part: "storage" }, seconds * rates.storage);
      this.#metrics.saved.inc({ ...labels, currency }, seconds * rates.saved);
    }
  }

  /** How long it has been awake; 0 for one that is not, or that is never to sleep. */
  #awakeSeconds({ spec, status: { power } }: Satellite): number {
    if (power.state !== "Running" || power.since === undefined || parseDurationMs(spec.idleTimeout) === 0) {
      return 0;
    }
    return Math.max(0, (this.#clock.now().getTime() - Date.parse(power.since)) / 1000);
  }

  #labelsOf({ metadata: { namespace = "" }, spec: { className } }: Satellite): UsageLabels {
    const pair = `${namespace}/${className}`;
    const known = this.#labels.get(pair);
    if (known !== undefined || this.#labels.size >= this.#maxPairs) {
      return known ?? OTHERS;
    }
    const labels = { satellite_namespace: namespace, class: className };
    this.#labels.set(pair, labels);
    return labels;
  }
}

function setAll(gauge: UsageMetrics["longestAwake"], values: ReadonlyMap<UsageLabels, number>): void {
  gauge.reset();
  for (const [labels, value] of values) {
    gauge.set({ ...labels }, value);
  }
}
