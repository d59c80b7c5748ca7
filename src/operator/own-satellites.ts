import type { CacheHandlers, ObjectCache } from "../kube/cache.ts";
import type { Satellite } from "../satellite/types.ts";
import type { Territory } from "./shard.ts";

/** Satellites, as somebody sees them who follows them. */
export type WatchedSatellites = Pick<ObjectCache<Satellite>, "list" | "subscribe">;

/**
 * The satellites that this operator acts on, out of all. To those who follow it a satellite whose namespace is taken up appears,
 * and one whose namespace is given up is deleted.
 */
export class OwnSatellites implements WatchedSatellites {
  readonly #all: WatchedSatellites;
  readonly #territory: Territory;

  constructor(all: WatchedSatellites, territory: Territory) {
    this.#all = all;
    this.#territory = territory;
  }

  list(): Satellite[] {
    return this.#all.list().filter((satellite) => this.#isOwn(satellite));
  }

  subscribe(handlers: CacheHandlers<Satellite>): () => void {
    const endAll = this.#all.subscribe({
      added: (satellite) => this.#isOwn(satellite) && handlers.added?.(satellite),
      updated: (satellite, before) => this.#isOwn(satellite) && handlers.updated?.(satellite, before),
      deleted: (satellite) => this.#isOwn(satellite) && handlers.deleted?.(satellite),
    });
    const endTerritory = this.#territory.onChange((namespace, isOwn) => {
      const satellites = this.#all.list().filter(({ metadata }) => metadata.namespace === namespace);
      satellites.forEach((satellite) =>
        isOwn ? handlers.added?.(satellite) : handlers.deleted?.(satellite),
      );
    });
    return () => {
      endAll();
      endTerritory();
    };
  }

  #isOwn({ metadata: { namespace } }: Satellite): boolean {
    return this.#territory.owns(namespace);
  }
}
