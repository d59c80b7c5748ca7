import { backoffMs, type BackoffOptions, type Random } from "../base/backoff.ts";
import { type Clock, sleep } from "../base/clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import { type IndexFunction, ObjectCache } from "./cache.ts";
import type { KubeClient, ListPage, Selection, WatchEvent } from "./client.ts";
import { hasReason, isExpired, KubeError } from "./errors.ts";
import type { KubeObject, ResourceType } from "./objects.ts";

/** What a {@link Reflector} takes. */
export interface ReflectorOptions<T extends KubeObject> {
  readonly client: KubeClient;
  readonly type: ResourceType;
  readonly selection?: Pick<Selection, "namespace" | "labelSelector" | "fieldSelector" | "trim">;
  readonly indexes?: Readonly<Record<string, IndexFunction<T>>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Objects per page of a listing. Default 500, as kubectl asks for. */
  readonly pageSize?: number;
  /**
   * A watch that brings neither event nor bookmark for this time is given up. Default 150 s: kube-apiserver
   * sends a bookmark about every minute.
   */
  readonly silenceMs?: number;
}

const PAGE_SIZE = 500;
const SILENCE_MS = 150_000;
/** A watch lasts between once and twice this time, as in client-go, so that many do not end together. */
const WATCH_SECONDS = 300;
const LIST_TIMEOUT_MS = 60_000;
/** client-go's reflector: 800 ms doubling up to 30 s; half of it random. */
const BACKOFF: BackoffOptions = { baseMs: 800, maxMs: 30_000, jitter: 0.5 };
/**
 * While nobody answers, an attempt costs the server nothing, and it may be back at any moment. The caches should then
 * be up to date soon (docs/decisions/0059-back-soon-after-an-outage.md).
 */
const AWAY_BACKOFF: BackoffOptions = { ...BACKOFF, maxMs: 5_000 };
/** A watch that ends sooner and has brought nothing counts as failed (client-go, "very short watch"). */
const SHORT_WATCH_MS = 1_000;
/** After so many failed watches in a row everything is listed again. */
const MAX_WATCH_FAILURES = 5;

/** Whether the same request would fail again, so that a fresh listing is needed. */
function isRefusal(error: unknown): boolean {
  if (!(error instanceof KubeError) || error.status === 429) {
    return false;
  }
  // A version from the future, after a restore from backup (apimachinery, NewTooLargeResourceVersionError).
  const fromTheFuture = error.causes.some(({ reason }) => reason === "ResourceVersionTooLarge");
  return fromTheFuture || (error.status >= 400 && error.status < 500);
}

/**
 * Keeps an {@link ObjectCache} equal to the API server: lists in pages, then watches with bookmarks, resuming where the
 * last watch ended; lists again when the server has forgotten that version (410). It ends only when its signal aborts:
 * every failure is logged and followed by a growing, jittered pause.
 */
export class Reflector<T extends KubeObject> {
  readonly cache: ObjectCache<T>;
  readonly #options: ReflectorOptions<T>;
  readonly #logger: Logger;
  readonly #synced = Promise.withResolvers<void>();
  /** Version from which the next watch continues; undefined: everything is listed first. */
  #resourceVersion: string | undefined;
  #lastProofMs: number | undefined;
  #failures = 0;
  #watchFailures = 0;
  /** Whether the last failure was that nobody answered. */
  #away = false;
  /** Whether the last failure was that the watch's version is too old. */
  #expired = false;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#logger = options.logger.child({ kind: options.type.kind });
    this.cache = new ObjectCache({
      clock: options.clock,
      logger: this.#logger,
      ...(options.indexes === undefined ? {} : { indexes: options.indexes }),
    });
  }

  /** Resolves when the cache has held a complete listing for the first time; never when none succeeds. */
  synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Whether {@link synced} has resolved. */
  get hasSynced(): boolean {
    return this.#lastProofMs !== undefined;
  }

  /**
   * Age of the cache in milliseconds: since the API server last proved by an answer, event or bookmark that
   * nothing is missing. Infinity before the first listing. On a quiet cluster it goes up to the server's
   * bookmark interval (about a minute), so readiness should allow two to three of these.
   */
  ageMs(): number {
    return this.#lastProofMs === undefined ? Infinity : this.#options.clock.monotonicMs() - this.#lastProofMs;
  }

  /** Runs until `signal` aborts; then resolves. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        this.#resourceVersion ??= await this.#relist(signal);
        await this.#watch(this.#resourceVersion, signal);
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        const delayMs = this.#failed(error);
        try {
          await sleep(this.#options.clock, delayMs, signal);
        } catch {
          // The only thing that ends this sleep early is the signal.
          return;
        }
      }
    }
  }

  /** Takes note of a failure. Returns how long to pause, in milliseconds. */
  #failed(error: unknown): number {
    const expired = isExpired(error);
    this.#watchFailures += 1;
    if (expired || isRefusal(error) || this.#watchFailures >= MAX_WATCH_FAILURES) {
      this.#resourceVersion = undefined;
      this.#watchFailures = 0;
    }
    // After an outage the server has often forgotten the version. It answers again, so nothing has to be waited for.
    const again = this.#expired;
    this.#expired = expired;
    const away = hasReason(error, "Unreachable");
    if (this.#away && !away) {
      // The server answers again: what it refuses now, since it has not loaded its roles yet for example, is a new
      // failure.
      this.#failures = 0;
    }
    this.#away = away;
    this.#failures += 1;
    if (expired && !again) {
      this.#logger.info("The watch's version is too old; listing again");
      return 0;
    }
    const asked = error instanceof KubeError ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
    const delayMs = Math.max(
      asked,
      backoffMs(this.#failures - 1, away ? AWAY_BACKOFF : BACKOFF, this.#options.random),
    );
    this.#logger.warn("The cache could not be kept up to date; trying again", {
      delayMs,
      failures: this.#failures,
      error,
    });
    return delayMs;
  }

  #proved(): void {
    this.#lastProofMs = this.#options.clock.monotonicMs();
  }

  async #relist(signal: AbortSignal): Promise<string> {
    let items: T[] = [];
    let resourceVersion: string | undefined;
    let next: string | undefined;
    do {
      const page: ListPage<T> = await this.#options.client.list<T>(this.#options.type, {
        ...this.#options.selection,
        signal,
        timeoutMs: LIST_TIMEOUT_MS,
        limit: this.#options.pageSize ?? PAGE_SIZE,
        ...(next === undefined ? {} : { continue: next }),
      });
      items = items.concat(page.items);
      // All pages show the state at the first one's version.
      resourceVersion ??= page.resourceVersion;
      next = page.continue;
    } while (next !== undefined);
    this.cache.replaceAll(items, resourceVersion);
    this.#proved();
    this.#synced.resolve();
    this.#logger.debug("Listed", { count: items.length, resourceVersion });
    return resourceVersion;
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { client, clock, random, selection, type } = this.#options;
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const watchdog = this.#watchdog(controller);
    const startMs = clock.monotonicMs();
    let eventCount = 0;
    try {
      const events = client.watch<T>(type, {
        ...selection,
        resourceVersion,
        timeoutSeconds: Math.ceil(WATCH_SECONDS * (1 + random())),
        signal: controller.signal,
      });
      for await (const event of events) {
        eventCount += 1;
        watchdog.heard();
        this.#apply(event);
      }
    } catch (thrown) {
      controller.signal.throwIfAborted();
      throw thrown;
    } finally {
      watchdog.stop();
      signal.removeEventListener("abort", onAbort);
    }
    if (eventCount === 0 && clock.monotonicMs() - startMs < SHORT_WATCH_MS) {
      throw new KubeError({
        reason: "ShortWatch",
        status: 0,
        message: `the watch of ${type.plural} ended at once and brought nothing`,
      });
    }
    this.#proved();
    this.#expired = false;
    this.#failures = 0;
    this.#watchFailures = 0;
  }

  #apply({ type, object }: WatchEvent<T>): void {
    switch (type) {
      case "ADDED":
      case "MODIFIED":
        this.cache.observe(object);
        break;
      case "DELETED":
        this.cache.observeDeletion(object);
        break;
      case "BOOKMARK":
        break;
    }
    this.#resourceVersion = object.metadata.resourceVersion ?? this.#resourceVersion;
    this.#expired = false;
    this.#failures = 0;
    this.#watchFailures = 0;
    this.#proved();
  }

  /** Aborts a watch that is silent for too long: its connection may be dead although nothing has said so. */
  #watchdog(controller: AbortController): { heard(): void; stop(): void } {
    const { clock, type } = this.#options;
    const silenceMs = this.#options.silenceMs ?? SILENCE_MS;
    let heardAtMs = clock.monotonicMs();
    const check = (): void => {
      const leftMs = heardAtMs + silenceMs - clock.monotonicMs();
      if (leftMs > 0) {
        timer = clock.setTimer(leftMs, check);
        return;
      }
      controller.abort(
        new KubeError({
          reason: "Timeout",
          status: 0,
          message: `the watch of ${type.plural} was silent for ${silenceMs} ms`,
        }),
      );
    };
    let timer = clock.setTimer(silenceMs, check);
    return { heard: () => void (heardAtMs = clock.monotonicMs()), stop: () => timer.cancel() };
  }
}
