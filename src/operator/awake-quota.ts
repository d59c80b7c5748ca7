import type { Clock } from "../base/clock.ts";
import { keyString, objectKey } from "../kube/objects.ts";
import { isPaused } from "../satellite/resource.ts";
import { Tag } from "../machines/tags.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import type { Tagged } from "./machine-directory.ts";
import type { Blocker } from "./blocker.ts";
import { unreadyOf } from "./older-status.ts";

/** How long a place is kept for a satellite whose start is being written. */
const GRANT_MS = 30_000;

/**
 * Counts what is awake of a class against `spec.maxAwake`: its satellites, and running machines that no satellite names,
 * since they cost the same. Satellites wait in the order in which they began to. A place that was granted a moment ago
 * counts before the API server's answer shows it, so that two steps at the same time cannot take the same one.
 */
export class AwakeQuota {
  readonly #clock: Clock;
  readonly #contenders: (className: string) => readonly Satellite[];
  readonly #unnamed: (className: string) => Iterable<Tagged>;
  /** When a place was granted to a satellite that is still shown as off, by "namespace/name". */
  readonly #granted = new Map<string, number>();

  /**
   * @param contenders satellites of a class that are awake or wished to be; others of it do no harm, but cost time
   * @param unnamed machines of a class that run and that no satellite names
   */
  constructor(
    clock: Clock,
    contenders: (className: string) => readonly Satellite[],
    unnamed: (className: string) => Iterable<Tagged>,
  ) {
    this.#clock = clock;
    this.#contenders = contenders;
    this.#unnamed = unnamed;
  }

  /**
   * Grants a satellite that is off and wanted on its place among those that are awake.
   *
   * @returns why it must wait; `undefined` when it may be started
   */
  admit(satellite: Satellite, satelliteClass: SatelliteClass): Blocker | undefined {
    const { maxAwake } = satelliteClass.spec;
    if (maxAwake === undefined) {
      return undefined;
    }
    const own = keyOf(satellite);
    const counts = this.#count(satellite, own);
    const { namespace = "" } = satellite.metadata;
    const perNamespace = maxAwake.perNamespace ?? Infinity;
    const total = maxAwake.total ?? Infinity;
    if (counts.awakeIn(namespace) + counts.aheadIn(namespace) >= perNamespace) {
      return this.#refuse(
        own,
        `${perNamespace} satellites of class ${satelliteClass.metadata.name} may be awake in namespace ` +
          `${namespace} (spec.maxAwake.perNamespace); it wakes when one of them sleeps`,
      );
    }
    if (counts.awake + counts.aheadInAll(perNamespace) >= total) {
      return this.#refuse(
        own,
        `${total} satellites of class ${satelliteClass.metadata.name} may be awake (spec.maxAwake.total); it ` +
          "wakes when one of them sleeps",
      );
    }
    this.#granted.set(own, this.#clock.monotonicMs());
    return undefined;
  }

  #refuse(key: string, message: string): Blocker {
    this.#granted.delete(key);
    return { reason: "AwakeLimitReached", message };
  }

  #count(self: Satellite, own: string): Counts {
    const counts = new Counts();
    const nowMs = this.#clock.monotonicMs();
    for (const { tags } of this.#unnamed(self.spec.className)) {
      counts.addAwake(tags[Tag.namespace] ?? "");
    }
    for (const other of this.#contenders(self.spec.className)) {
      const key = keyOf(other);
      if (other.spec.className !== self.spec.className || key === own) {
        continue;
      }
      const namespace = other.metadata.namespace ?? "";
      const isOff = other.status.power.state === "Off";
      const isGranted = nowMs - (this.#granted.get(key) ?? -Infinity) < GRANT_MS;
      if (!isOff) {
        this.#granted.delete(key);
        counts.addAwake(namespace);
      } else if (waits(other)) {
        if (isGranted) {
          counts.addAwake(namespace);
        } else if (waitsLonger(other, self)) {
          counts.addAhead(namespace);
        }
      }
    }
    return counts;
  }
}

class Counts {
  awake = 0;
  readonly #awake = new Map<string, number>();
  readonly #ahead = new Map<string, number>();

  addAwake(namespace: string): void {
    this.awake += 1;
    this.#awake.set(namespace, this.awakeIn(namespace) + 1);
  }

  addAhead(namespace: string): void {
    this.#ahead.set(namespace, this.aheadIn(namespace) + 1);
  }

  awakeIn(namespace: string): number {
    return this.#awake.get(namespace) ?? 0;
  }

  aheadIn(namespace: string): number {
    return this.#ahead.get(namespace) ?? 0;
  }

  /** Those ahead that their own namespace's limit lets through: the others must not hold up other namespaces. */
  aheadInAll(perNamespace: number): number {
    let ahead = 0;
    for (const [namespace, waiting] of this.#ahead) {
      ahead += Math.min(waiting, Math.max(0, perNamespace - this.awakeIn(namespace)));
    }
    return ahead;
  }
}

function keyOf(satellite: Satellite): string {
  return keyString(objectKey(satellite));
}

/** Whether it is off and would be started. One that needs a person waits for that, and for no place. */
function waits(satellite: Satellite): boolean {
  const { metadata, spec, status } = satellite;
  return (
    spec.desiredPower === "on" &&
    metadata.deletionTimestamp === undefined &&
    unreadyOf(status)?.needsPerson !== true &&
    !isPaused(satellite)
  );
}

function waitsLonger(other: Satellite, self: Satellite): boolean {
  const [theirs, ours] = [waitingSince(other), waitingSince(self)];
  return theirs === ours ? keyOf(other) < keyOf(self) : theirs < ours;
}

/** Since when it has not been as wished, in milliseconds since 1970; at first, since it was created. */
function waitingSince({ metadata, status }: Satellite): number {
  const isNew = (status.observedGeneration ?? -1) < 0;
  const since = isNew ? metadata.creationTimestamp : unreadyOf(status)?.since;
  return Date.parse(since ?? "") || Infinity;
}
