import type { Random } from "../base/backoff.ts";
import type { Clock, Timer } from "../base/clock.ts";
import { parseLabelSelector, type LabelSelector } from "../base/label-selector.ts";
import type { KubeClient } from "../kube/client.ts";
import type { KubeObject, ObjectMeta } from "../kube/objects.ts";
import { Reflector } from "../kube/reflector.ts";
import { NAMESPACE } from "../kube/resources.ts";
import type { Logger } from "../telemetry/logger.ts";

/**
 * An operator that has heard nothing of namespaces for so long acts on nothing: one may have been taken from it. kube-apiserver
 * sends a bookmark about every minute. Milliseconds.
 */
const STALE_MS = 120_000;
/**
 * How long a namespace that changes hands is left alone by the operator that gets it: until the one that loses it has heard of
 * it, or stands still ({@link STALE_MS}), and the last call that it had under way has ended: one may wait for 30 s for its turn
 * (docs/decisions/0092-a-launch-says-that-it-waits.md), and take as long as the lease. Milliseconds.
 */
export const HANDOVER_MS = 180_000;

/** What a {@link Shard} takes. */
export interface ShardOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Label selector of the Namespaces whose satellites this operator acts on. */
  readonly namespaceSelector: string;
}

/** A Namespace, as far as it matters here. */
export interface ShardNamespace extends KubeObject {
  /** When anything but its status was last changed, by the API server's clock: milliseconds since 1970. */
  changedAtMs?: number;
}

/** Told when this operator acts in a namespace from now on, or no longer does. */
export type TerritoryListener = (namespace: string, isOwn: boolean) => void;

/** Where an operator acts. */
export interface Territory {
  /**
   * Whether it also does what belongs to no namespace: looks after classes, and judges machines whose namespace is gone. So
   * does the one operator whose selector matches a namespace without labels.
   */
  readonly hasRest: boolean;
  /** Watches namespaces until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Resolves when the namespaces are known. */
  synced(): Promise<void>;
  /** Age of what is known of namespaces, in milliseconds. */
  ageMs(): number;
  /** Whether what is known of namespaces is fresh enough to act by. */
  isCurrent(): boolean;
  /**
   * Whether it acts on the satellites of a namespace. Nobody does before the namespace is known: its event may come after those
   * of its satellites.
   */
  owns(namespace: string | undefined): boolean;
  /** Whether it judges machines and data volumes that are tagged with a namespace, which may be gone. */
  judges(namespace: string): boolean;
  /** Tells of every change from now on. @returns ends it */
  onChange(listener: TerritoryListener): () => void;
}

/** The territory of an operator that has its cluster for itself. */
export const WHOLE_CLUSTER: Territory = {
  hasRest: true,
  run: () => Promise.resolve(),
  synced: () => Promise.resolve(),
  ageMs: () => 0,
  isCurrent: () => true,
  owns: () => true,
  judges: () => true,
  onChange: () => () => {},
};

/**
 * The namespaces in which this operator acts, where several share a cluster: those whose labels its selector matches
 * (docs/decisions/0095-shards-by-namespace.md). Every namespace must be matched by the selector of one operator alone.
 *
 * A namespace is given up at the event that takes it away, and taken up {@link HANDOVER_MS} after the event that brings it. One
 * that is new is taken up at once, since nobody has acted in it before.
 */
export class Shard implements Territory {
  readonly hasRest: boolean;
  readonly #selects: LabelSelector;
  readonly #clock: Clock;
  readonly #namespaces: Reflector<ShardNamespace>;
  /** Namespaces that match; with a timer, those that are not taken up yet. */
  readonly #matching = new Map<string, Timer | undefined>();
  /** Namespaces of others that were deleted lately, and when, on the monotonic clock; the oldest first. */
  readonly #gone = new Map<string, number>();
  readonly #listeners = new Set<TerritoryListener>();

  /** @throws SatelliteError `InvalidLabelSelector` */
  constructor({ namespaceSelector, ...options }: ShardOptions) {
    this.#selects = parseLabelSelector(namespaceSelector);
    this.hasRest = this.#selects({});
    this.#clock = options.clock;
    this.#namespaces = new Reflector({ ...options, type: NAMESPACE, selection: { trim: trimNamespace } });
    this.#namespaces.cache.subscribe({
      added: (namespace) => this.#look(namespace, this.#waitOfNew(namespace)),
      updated: (namespace) => this.#look(namespace, HANDOVER_MS),
      deleted: ({ metadata: { name } }) => this.#forget(name),
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#namespaces.run(signal);
    for (const timer of this.#matching.values()) {
      timer?.cancel();
    }
  }

  synced(): Promise<void> {
    return this.#namespaces.synced();
  }

  ageMs(): number {
    return this.#namespaces.ageMs();
  }

  isCurrent(): boolean {
    return this.ageMs() < STALE_MS;
  }

  owns(namespace = ""): boolean {
    return this.#matching.has(namespace) && this.#matching.get(namespace) === undefined;
  }

  judges(namespace: string): boolean {
    return this.#namespaces.cache.get(namespace) === undefined ? this.hasRest : this.owns(namespace);
  }

  onChange(listener: TerritoryListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #look({ metadata: { name, labels } }: ShardNamespace, waitMs: number): void {
    if (!this.#selects(labels ?? {})) {
      this.#lose(name);
    } else if (!this.#matching.has(name)) {
      this.#matching.set(name, undefined);
      if (waitMs > 0) {
        this.#matching.set(
          name,
          this.#clock.setTimer(waitMs, () => this.#takeUp(name)),
        );
      } else {
        this.#takeUp(name);
      }
    }
  }

  #takeUp(name: string): void {
    this.#matching.set(name, undefined);
    this.#tell(name, true);
  }

  #lose(name: string): void {
    const wasOwn = this.owns(name);
    this.#matching.get(name)?.cancel();
    this.#matching.delete(name);
    if (wasOwn) {
      this.#tell(name, false);
    }
  }

  #forget(name: string): void {
    const nowMs = this.#clock.monotonicMs();
    if (!this.#matching.has(name)) {
      this.#gone.delete(name);
      this.#gone.set(name, nowMs);
    }
    for (const [other, atMs] of this.#gone) {
      if (nowMs - atMs < HANDOVER_MS) {
        break;
      }
      this.#gone.delete(other);
    }
    this.#lose(name);
  }

  /**
   * How long a namespace that was not known is left alone, in milliseconds: not at all where it has been as it is since it was
   * created. Otherwise its labels may have changed while nobody watched, as before the start of this process.
   */
  #waitOfNew({ metadata: { name, creationTimestamp }, changedAtMs }: ShardNamespace): number {
    const goneAtMs = this.#gone.get(name) ?? -Infinity;
    this.#gone.delete(name);
    const afterGone = goneAtMs + HANDOVER_MS - this.#clock.monotonicMs();
    const createdAtMs = Date.parse(creationTimestamp ?? "");
    const isAsCreated = changedAtMs === undefined || changedAtMs <= createdAtMs;
    const afterChange = isAsCreated ? 0 : changedAtMs + HANDOVER_MS - this.#clock.now().getTime();
    return Math.min(HANDOVER_MS, Math.max(afterGone, afterChange));
  }

  #tell(name: string, isOwn: boolean): void {
    for (const listener of this.#listeners) {
      listener(name, isOwn);
    }
  }
}

/** Metadata as the API server sends it (Kubernetes API, ManagedFieldsEntry). */
interface SentMeta extends ObjectMeta {
  readonly managedFields?: readonly { readonly time?: string; readonly subresource?: string }[];
}

/** What is kept of a Namespace. */
function trimNamespace({ metadata }: KubeObject): ShardNamespace {
  const { managedFields = [], ...sent } = metadata as SentMeta;
  const { name, uid, resourceVersion, creationTimestamp, labels } = sent;
  const times = managedFields.flatMap(({ time, subresource }) =>
    time === undefined || subresource !== undefined ? [] : [Date.parse(time)],
  );
  return {
    metadata: {
      name,
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
      ...(labels === undefined ? {} : { labels }),
    },
    ...(times.length === 0 ? {} : { changedAtMs: Math.max(...times) }),
  };
}
