import { setTimeout as delay } from "node:timers/promises";
import type { Cluster } from "./cluster.ts";
import { isReady } from "./pod.ts";

const POLL_MS = 200;

/** Looks again and again how many pods of a component are ready. */
export class FewestReady {
  readonly #stopping = new AbortController();
  readonly #looking: Promise<void>;
  #fewest = Number.POSITIVE_INFINITY;

  constructor(cluster: Cluster, component: "operator" | "router") {
    this.#looking = this.#look(cluster, component);
  }

  async #look(cluster: Cluster, component: "operator" | "router"): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const pods = await cluster.pods(component);
      this.#fewest = Math.min(this.#fewest, pods.filter(isReady).length);
      await delay(POLL_MS);
    }
  }

  /** The fewest that were seen at once. */
  async stop(): Promise<number> {
    this.#stopping.abort();
    await this.#looking;
    return this.#fewest;
  }
}
