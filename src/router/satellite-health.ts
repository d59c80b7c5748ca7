import type { Satellite } from "../satellite/types.ts";
import { ServingStatus, type HealthSource } from "./health.ts";
import type { SatelliteView } from "./satellite-view.ts";
import { standingOf } from "./standing.ts";

/**
 * What health checks are told of a satellite: whether a call to it would be served. One that sleeps and would wake is
 * SERVING; one that no call wakes (paused, wakePolicy Manual, failed, being deleted) is not.
 */
export function servingStatusOf(satellite: Satellite | undefined): ServingStatus {
  if (satellite === undefined) {
    return ServingStatus.SERVICE_UNKNOWN;
  }
  return standingOf(satellite).kind === "hopeless" ? ServingStatus.NOT_SERVING : ServingStatus.SERVING;
}

/** The health of satellites, from what the router knows of them; asking and watching wakes nothing and keeps nothing awake. */
export class SatelliteHealth {
  readonly #view: Pick<SatelliteView, "get" | "lookUp" | "subscribe">;
  readonly #watchers = new Map<string, Set<() => void>>();

  constructor(view: Pick<SatelliteView, "get" | "lookUp" | "subscribe">) {
    this.#view = view;
    // One subscription for all: a change must not cost more the more satellites are watched.
    view.subscribe((key) => {
      for (const look of this.#watchers.get(key) ?? []) {
        look();
      }
    });
  }

  /**
   * The health of one satellite. It is looked up where it is not known: it may be newer than the cache.
   *
   * @param key its "namespace/name"
   * @throws KubeError when the API server does not answer
   */
  async of(key: string): Promise<HealthSource> {
    await this.#view.lookUp(key);
    const status = (): ServingStatus => servingStatusOf(this.#view.get(key));
    return {
      get status() {
        return status();
      },
      subscribe: (listener) => {
        let told = status();
        return this.#watch(key, () => {
          const now = status();
          if (now !== told) {
            told = now;
            listener(now);
          }
        });
      },
    };
  }

  #watch(key: string, look: () => void): () => void {
    const watchers = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, watchers);
    watchers.add(look);
    return () => {
      watchers.delete(look);
      if (watchers.size === 0) {
        this.#watchers.delete(key);
      }
    };
  }
}
