import type { Clock } from "../base/clock.ts";
import type { ObjectCache } from "../kube/cache.ts";
import { keyString, objectKey } from "../kube/objects.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import { fleetSummary, type FleetSummary } from "./fleet-summary.ts";
import { PhaseHistory, type PhaseStart, type Transition } from "./phase-history.ts";
import { satelliteRow, type SatelliteRow } from "./satellite-row.ts";

/** What is watched: the process's caches. */
export interface FleetSources {
  readonly satellites: Pick<ObjectCache<Satellite>, "list" | "subscribe">;
  readonly classes: Pick<ObjectCache<SatelliteClass>, "get" | "subscribe">;
}

/** Everything that the page shows. */
export interface FleetView {
  readonly now: Date;
  /** When this process began to watch. */
  readonly since: Date;
  /** The one namespace that is shown; undefined for all. */
  readonly namespace: string | undefined;
  /** All that there are, sorted. */
  readonly namespaces: readonly string[];
  readonly summary: FleetSummary;
  /** Sorted by namespace and name; the first ones where there are more than fit. */
  readonly rows: readonly SatelliteRow[];
  /** By the rows' keys. */
  readonly phases: Readonly<Record<string, readonly PhaseStart[]>>;
  readonly changes: readonly Transition[];
}

/** Rows of a page; more would be slow in a browser. */
const MAX_ROWS = 500;

/** The satellites as one process sees them, with the phases that they went through meanwhile. */
export class Fleet {
  readonly #clock: Clock;
  readonly #history: PhaseHistory;
  readonly #since: Date;
  readonly #listeners = new Set<(key: string | undefined) => void>();
  #sources: FleetSources | undefined;

  constructor(clock: Clock, history = new PhaseHistory()) {
    this.#clock = clock;
    this.#history = history;
    this.#since = clock.now();
  }

  /** Follows these caches for ever; once. */
  follow(sources: FleetSources): void {
    this.#sources = sources;
    const changed = (satellite: Satellite): void => {
      const key = keyString(objectKey(satellite));
      this.#history.observe(key, satellite.status?.phase ?? "Pending", this.#clock.now().getTime());
      this.#tell(key);
    };
    sources.satellites.subscribe({
      added: changed,
      updated: changed,
      deleted: (satellite) => {
        const key = keyString(objectKey(satellite));
        this.#history.forget(key);
        this.#tell(key);
      },
    });
    const repriced = (): void => this.#tell(undefined);
    sources.classes.subscribe({ added: repriced, updated: repriced, deleted: repriced });
  }

  /** Tells of every change: the satellite's key, or undefined where a class changed. @returns ends it */
  onChange(listener: (key: string | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** What there is to see now. @param namespace only of this one */
  view(namespace?: string): FleetView {
    const now = this.#clock.now();
    const all = this.#sources?.satellites.list() ?? [];
    const shown = all
      .filter(({ metadata }) => namespace === undefined || metadata.namespace === namespace)
      .map((satellite) => ({ satellite, key: keyString(objectKey(satellite)) }))
      .toSorted((left, right) => compareKeys(left.key, right.key));
    const rows = shown.slice(0, MAX_ROWS).map(({ satellite }) => satelliteRow(satellite, now));
    return {
      now,
      since: this.#since,
      namespace,
      namespaces: [...new Set(all.map(({ metadata }) => metadata.namespace ?? ""))].toSorted(compareKeys),
      summary: fleetSummary(
        shown.map(({ satellite }) => satellite),
        (name) => this.#sources?.classes.get(name),
        now,
      ),
      rows,
      phases: Object.fromEntries(rows.map(({ key }) => [key, this.#history.phasesOf(key)])),
      changes: this.#history
        .changes()
        .filter(({ key }) => namespace === undefined || key.startsWith(`${namespace}/`)),
    };
  }

  #tell(key: string | undefined): void {
    for (const listener of this.#listeners) {
      listener(key);
    }
  }
}

/** By code units, as the browser's script does. */
function compareKeys(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
