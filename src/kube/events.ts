import { backoffMs, type BackoffOptions, type Random } from "../base/backoff.ts";
import { type Clock, sleep } from "../base/clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { KubeClient } from "./client.ts";
import { isNotFound, KubeError } from "./errors.ts";
import { EventCorrelator, type EventMessage, type EventSeries } from "./event-correlator.ts";
import type { KubeObject } from "./objects.ts";
import { EVENT } from "./resources.ts";

/** What an {@link EventRecorder} takes. */
export interface EventRecorderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Who reports, shown by `kubectl describe` as the event's origin: "satellites-operator". */
  readonly component: string;
  /** Which of its processes, such as the pod's name. */
  readonly instance: string;
}

/** v1 Event. */
interface CoreEvent extends KubeObject {
  involvedObject: Record<string, string | undefined>;
  type: string;
  reason: string;
  message: string;
  count: number;
  firstTimestamp: string;
  lastTimestamp: string;
  source: { component: string; host: string };
  reportingComponent: string;
  reportingInstance: string;
}

const MAX_PENDING = 1_000;
const MAX_ATTEMPTS = 6;
const BACKOFF: BackoffOptions = { baseMs: 500, maxMs: 10_000 };
/** Names of Events are DNS subdomains; their object's name is cut so that a suffix fits. */
const MAX_SUBJECT_NAME = 220;
/** API server's limit (core validation, `NoteLengthLimit`). */
const MAX_MESSAGE = 1_024;

const seconds = (date: Date): string => date.toISOString().replace(/\.\d{3}Z$/, "Z");

function isTransient(error: unknown): boolean {
  return error instanceof KubeError && (error.status === 0 || error.status === 429 || error.status >= 500);
}

/**
 * Tells people what happens to their objects, as Kubernetes Events.
 *
 * It writes core/v1 Events with count and timestamps, not events.k8s.io/v1. Both are stored as the same objects, but
 * `kubectl describe` before 1.23 shows neither count nor last time of events that have only `eventTime` and `series`
 * (kubernetes/kubectl issue 1095). All versions show core/v1 Events right.
 *
 * Recording neither blocks nor fails: events are sent one after the other in the background, repetitions that
 * wait are sent as one, and what cannot be sent after some attempts is logged and dropped.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #correlator: EventCorrelator;
  /** Series with something to send, in order. */
  readonly #pending = new Set<EventSeries>();
  readonly #stopping = new AbortController();
  #sending: Promise<void> | undefined;
  #dropped = 0;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#correlator = new EventCorrelator(options.clock);
  }

  /** Records an event about `subject`, which must bear apiVersion, kind, name and uid. */
  record(subject: KubeObject, event: EventMessage): void {
    if (this.#stopping.signal.aborted) {
      return;
    }
    const series = this.#correlator.correlate(subject, event);
    if (series === undefined) {
      this.#options.logger.debug("Event not recorded: the object has had too many", { reason: event.reason });
      return;
    }
    if (this.#pending.size >= MAX_PENDING && !this.#pending.has(series)) {
      this.#dropped += 1;
      return;
    }
    this.#pending.add(series);
    this.#sending ??= this.#sendAll();
  }

  /** Resolves when nothing waits to be sent any more. */
  async flush(): Promise<void> {
    while (this.#sending !== undefined) {
      await this.#sending;
    }
  }

  /** Sends what waits, for `timeoutMs` at most, drops the rest, and records nothing any more. */
  async close(timeoutMs: number): Promise<void> {
    const timer = this.#options.clock.setTimer(timeoutMs, () => this.#stopping.abort());
    await this.flush();
    timer.cancel();
    this.#stopping.abort();
  }

  async #sendAll(): Promise<void> {
    for (const series of this.#pending) {
      this.#pending.delete(series);
      await this.#sendPatiently(series);
    }
    this.#sending = undefined;
    if (this.#dropped > 0) {
      this.#options.logger.warn("Events were dropped: too many waited to be sent", { count: this.#dropped });
      this.#dropped = 0;
    }
  }

  async #sendPatiently(series: EventSeries): Promise<void> {
    const { clock, logger, random } = this.#options;
    const { signal } = this.#stopping;
    for (let attempt = 0; ; attempt++) {
      try {
        signal.throwIfAborted();
        await this.#send(series, signal);
        return;
      } catch (error) {
        if (signal.aborted || !isTransient(error) || attempt + 1 >= MAX_ATTEMPTS) {
          const { reason, subject } = series;
          logger.warn("Event dropped", { reason, object: subject.metadata.name, error });
          return;
        }
        await sleep(clock, backoffMs(attempt, BACKOFF, random), signal).catch(() => {
          // The recorder is closing: the next attempt says so.
        });
      }
    }
  }

  async #send(series: EventSeries, signal: AbortSignal): Promise<void> {
    // The first attempt has chosen the name. Its answer may have been lost, so the Event may be there already.
    if (series.name !== undefined && (await this.#patch(series, series.name, signal))) {
      return;
    }
    await this.#options.client.create(EVENT, this.#event(series), { signal });
  }

  /** Brings the Event object up to date. Returns false when the server has forgotten it (after an hour). */
  async #patch(series: EventSeries, name: string, signal: AbortSignal): Promise<boolean> {
    const body = {
      count: series.count,
      message: limited(series.message),
      lastTimestamp: seconds(series.last),
    };
    const key = { namespace: namespaceOf(series.subject), name };
    try {
      await this.#options.client.patch(EVENT, key, { type: "merge", body }, { signal });
      return true;
    } catch (error) {
      if (isNotFound(error)) {
        return false;
      }
      throw error;
    }
  }

  #event(series: EventSeries): CoreEvent {
    const { clock, component, instance, random } = this.#options;
    const { apiVersion, kind, metadata } = series.subject;
    const time = clock.now().getTime().toString(16);
    const suffix = Math.floor(random() * 2 ** 32)
      .toString(16)
      .padStart(8, "0");
    series.name = `${metadata.name.slice(0, MAX_SUBJECT_NAME)}.${time}${suffix}`;
    return {
      metadata: { namespace: namespaceOf(series.subject), name: series.name },
      involvedObject: {
        apiVersion,
        kind,
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        resourceVersion: metadata.resourceVersion,
      },
      type: series.type,
      reason: series.reason,
      message: limited(series.message),
      count: series.count,
      firstTimestamp: seconds(series.first),
      lastTimestamp: seconds(series.last),
      source: { component, host: instance },
      reportingComponent: component,
      reportingInstance: instance,
    };
  }
}

/** Events about cluster-scoped objects go to "default" (client-go, tools/record). */
function namespaceOf(subject: KubeObject): string {
  return subject.metadata.namespace ?? "default";
}

function limited(message: string): string {
  return message.length <= MAX_MESSAGE ? message : `${message.slice(0, MAX_MESSAGE - 1)}…`;
}
