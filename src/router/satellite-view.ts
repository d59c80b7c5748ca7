import { LRUCache } from "lru-cache";
import type { Clock } from "../base/clock.ts";
import type { ObjectCache } from "../kube/cache.ts";
import { isNotFound } from "../kube/errors.ts";
import { keyString, objectKey } from "../kube/objects.ts";
import type { Satellite } from "../satellite/types.ts";
import type { SatelliteApi } from "./satellite-api.ts";

/** Options of {@link SatelliteView}. */
export interface SatelliteViewOptions {
  /** Kept up to date by a reflector; this view adds what the router's own reads and writes return. */
  readonly cache: ObjectCache<Satellite>;
  readonly api: SatelliteApi;
  readonly clock: Clock;
}

/** How long "there is no such satellite" is believed, in milliseconds. */
const UNKNOWN_TTL_MS = 1000;
/** How many unknown names are remembered. */
const MAX_UNKNOWN = 1000;

/**
 * What the router knows of satellites: the newest of the informer's cache and of what its own reads and writes returned.
 * The watch lags behind them; a decision on it alone would send a second wake, or take a lease on a past epoch.
 */
export class SatelliteView {
  readonly #cache: ObjectCache<Satellite>;
  readonly #api: SatelliteApi;
  readonly #clock: Clock;
  /** Names that were not found, with the time until which that is believed. */
  readonly #unknown = new LRUCache<string, number>({ max: MAX_UNKNOWN });
  readonly #lookups = new Map<string, Promise<Satellite | undefined>>();

  constructor({ cache, api, clock }: SatelliteViewOptions) {
    this.#cache = cache;
    this.#api = api;
    this.#clock = clock;
  }

  /** The newest known state; `undefined` when the satellite is not known. */
  get(key: string): Satellite | undefined {
    return this.#cache.get(key);
  }

  /**
   * Calls `listener` with the key after every change of what {@link get} returns.
   *
   * @returns ends the subscription
   */
  subscribe(listener: (key: string) => void): () => void {
    const onChange = (satellite: Satellite): void => listener(keyString(objectKey(satellite)));
    return this.#cache.subscribe({ added: onChange, updated: onChange, deleted: onChange });
  }

  /** Takes in what a write of ours returned, unless something newer is known. */
  observe(satellite: Satellite): void {
    this.#cache.upsert(satellite);
  }

  /**
   * Reads the object from the API server.
   *
   * @returns the newest known state; `undefined` when there is no such satellite
   * @throws KubeError when the API server does not answer
   */
  async refresh(key: string): Promise<Satellite | undefined> {
    const before = this.get(key);
    try {
      this.#cache.upsert(await this.#api.get(key));
    } catch (error) {
      if (!isNotFound(error)) {
        throw error;
      }
      if (before !== undefined) {
        this.#cache.observeDeletion(before);
      }
    }
    return this.get(key);
  }

  /**
   * Looks a satellite up that the cache does not have: it may be newer than the cache. One read per name at a time, and
   * not more than one a second, so that made-up names cost the API server little.
   *
   * @throws KubeError when the API server does not answer
   */
  lookUp(key: string): Promise<Satellite | undefined> {
    const known = this.get(key);
    if (known !== undefined || (this.#unknown.peek(key) ?? -Infinity) > this.#clock.monotonicMs()) {
      return Promise.resolve(known);
    }
    const running = this.#lookups.get(key);
    if (running !== undefined) {
      return running;
    }
    const lookup = this.refresh(key)
      .then((satellite) => {
        if (satellite === undefined) {
          this.#unknown.set(key, this.#clock.monotonicMs() + UNKNOWN_TTL_MS);
        }
        return satellite;
      })
      .finally(() => this.#lookups.delete(key));
    this.#lookups.set(key, lookup);
    return lookup;
  }
}
