import { LRUCache } from "lru-cache";
import type { Clock } from "../base/clock.ts";
import type { KubeObject } from "./objects.ts";

/** What is to be told about an object. */
export interface EventMessage {
  /** `Warning` for what somebody should look at. */
  readonly type: "Normal" | "Warning";
  /** Why, in one CamelCase word that programs can match. */
  readonly reason: string;
  /** For people. */
  readonly message: string;
}

/** One Event object in the making: all repetitions of one message about one object. */
export interface EventSeries {
  readonly subject: KubeObject;
  readonly type: EventMessage["type"];
  readonly reason: string;
  message: string;
  count: number;
  readonly first: Date;
  last: Date;
  /** Name of the Event object on the server; undefined until it is created. */
  name: string | undefined;
}

/** client-go's limits (client-go, tools/record, events_cache.go). */
const CACHE_ENTRIES = 4096;
const BURST = 25;
const REFILL_MS = 300_000;
const SIMILAR_MAX = 10;
const SIMILAR_WINDOW_MS = 600_000;

interface Bucket {
  tokens: number;
  filledAtMs: number;
}

interface Similar {
  messages: Set<string>;
  lastMs: number;
}

/** The value under `key`, made by `create` where there is none. */
function getOrCreate<V extends object>(cache: LRUCache<string, V>, key: string, create: () => V): V {
  const value = cache.get(key) ?? create();
  cache.set(key, value);
  return value;
}

/**
 * Decides what becomes of a message as client-go's EventCorrelator does: repetitions raise a count, more than
 * ten different messages of one reason about one object within ten minutes are combined into one event, and
 * each object has a bucket of 25 messages that refills by one every five minutes.
 */
export class EventCorrelator {
  readonly #clock: Clock;
  readonly #series = new LRUCache<string, EventSeries>({ max: CACHE_ENTRIES });
  readonly #similar = new LRUCache<string, Similar>({ max: CACHE_ENTRIES });
  readonly #buckets = new LRUCache<string, Bucket>({ max: CACHE_ENTRIES });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The series that `event` belongs to, counted up; undefined when the object has used up its bucket. */
  correlate(subject: KubeObject, event: EventMessage): EventSeries | undefined {
    const { kind, metadata } = subject;
    const object = JSON.stringify([kind, metadata.namespace, metadata.name, metadata.uid]);
    const similar = JSON.stringify([object, event.type, event.reason]);
    const combined = this.#isOneOfMany(similar, event.message);
    if (!this.#takeToken(object)) {
      return undefined;
    }
    const now = this.#clock.now();
    const key = combined ? similar : JSON.stringify([similar, event.message]);
    const series = getOrCreate(this.#series, key, () => ({
      subject,
      type: event.type,
      reason: event.reason,
      message: "",
      count: 0,
      first: now,
      last: now,
      name: undefined,
    }));
    series.message = combined ? `(combined from similar events): ${event.message}` : event.message;
    series.count += 1;
    series.last = now;
    return series;
  }

  #isOneOfMany(similar: string, message: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    const group = getOrCreate(this.#similar, similar, () => ({ messages: new Set<string>(), lastMs: nowMs }));
    if (nowMs - group.lastMs > SIMILAR_WINDOW_MS) {
      group.messages = new Set();
    }
    group.lastMs = nowMs;
    if (group.messages.size < SIMILAR_MAX) {
      group.messages.add(message);
    }
    return !group.messages.has(message);
  }

  #takeToken(object: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    const bucket = getOrCreate(this.#buckets, object, () => ({ tokens: BURST, filledAtMs: nowMs }));
    bucket.tokens = Math.min(BURST, bucket.tokens + (nowMs - bucket.filledAtMs) / REFILL_MS);
    bucket.filledAtMs = nowMs;
    if (bucket.tokens < 1) {
      return false;
    }
    bucket.tokens -= 1;
    return true;
  }
}
