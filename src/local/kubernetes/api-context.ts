import type { Random } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import type { Resource } from "./resource.ts";
import type { Store } from "./store.ts";

/** What the handlers of all verbs use. */
export interface ApiContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly resources: readonly Resource[];
  /** How often quiet watches get a bookmark, in milliseconds. */
  readonly bookmarkIntervalMs: number;
}
