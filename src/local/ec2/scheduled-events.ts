import { SatelliteError } from "../../base/errors.ts";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Instance, ScheduledEvent } from "./instance.ts";
import type { Instances } from "./instances.ts";
import type { Lifecycle } from "./lifecycle.ts";

/** Kinds of events that EC2 announces (EC2 user guide, "Types of scheduled events"). */
const EVENT_CODES = [
  "instance-reboot",
  "instance-retirement",
  "instance-stop",
  "system-maintenance",
  "system-reboot",
] as const;

/** Stands in front of the description of an event that is over; EC2 goes on listing it for a week. */
const COMPLETED = "[Completed] ";

/** Timers of Node.js hold no more than 24 days. */
const LONGEST_TIMER_MS = 86_400_000;

/** StateReason of an instance that EC2 stopped. */
const SCHEDULED_STOP = { code: "Server.ScheduledStop", message: "Stopped due to a scheduled retirement" };

/**
 * Events that EC2 announces for instances and then carries out on those that were not stopped and started in time:
 * retirement stops an instance, a reboot restarts it. A start puts a stopped instance on another host, which ends the
 * event (EC2 user guide, "Manage scheduled events").
 */
export class ScheduledEvents {
  readonly #clock: Clock;
  readonly #instances: Instances;
  readonly #lifecycle: Lifecycle;
  readonly #timers = new Set<Timer>();

  constructor(clock: Clock, instances: Instances, lifecycle: Lifecycle) {
    this.#clock = clock;
    this.#instances = instances;
    this.#lifecycle = lifecycle;
    for (const { id, events } of instances.truths()) {
      events.forEach((event) => this.#arm(id, event));
    }
  }

  /** Announces an event. */
  schedule(id: string, event: ScheduledEvent): void {
    const { events } = this.#instances.truth(id);
    this.#instances.change(id, { events: [...events, event] });
    this.#arm(id, event);
  }

  /** Marks events as completed: those that a start on another host cancels, or that a reboot carries out early. */
  complete(id: string, isEnded: (code: string) => boolean = () => true): void {
    const { events } = this.#instances.truth(id);
    if (events.some((event) => isPending(event) && isEnded(event.code))) {
      this.#instances.change(id, {
        events: events.map((event) =>
          isPending(event) && isEnded(event.code)
            ? { ...event, description: COMPLETED + event.description }
            : event,
        ),
      });
    }
  }

  /** Carries out no event from now on. */
  close(): void {
    this.#timers.forEach((timer) => timer.cancel());
    this.#timers.clear();
  }

  #arm(id: string, event: ScheduledEvent): void {
    const inMs = Date.parse(event.notBefore) - this.#clock.now().getTime();
    const timer = this.#clock.setTimer(Math.min(Math.max(0, inMs), LONGEST_TIMER_MS), () => {
      this.#timers.delete(timer);
      if (inMs > LONGEST_TIMER_MS) {
        this.#arm(id, event);
      } else {
        this.#befall(id, event.id);
      }
    });
    this.#timers.add(timer);
  }

  #befall(id: string, eventId: string): void {
    const instance = this.#instances.has(id) ? this.#instances.truth(id) : undefined;
    const event = instance?.events.find((candidate) => candidate.id === eventId);
    if (instance === undefined || event === undefined || !isPending(event)) {
      return;
    }
    if (instance.state === "running") {
      this.#carryOut(instance, event.code);
    }
    if (event.code !== "system-maintenance") {
      this.complete(id, (code) => code === event.code);
    }
  }

  #carryOut({ id }: Instance, code: string): void {
    if (code === "instance-stop" || code === "instance-retirement") {
      this.#lifecycle.stop(id, { hibernate: false, force: false, stateReason: SCHEDULED_STOP });
    } else if (code !== "system-maintenance") {
      this.#lifecycle.reboot(id);
    }
  }
}

function isPending({ description }: ScheduledEvent): boolean {
  return !description.startsWith("[");
}

/**
 * Checks an event that came from outside.
 *
 * @throws SatelliteError `InvalidEvent`
 */
export function parseEvent(value: unknown): { readonly instance: string } & Omit<ScheduledEvent, "id"> {
  const {
    id,
    code,
    notBefore,
    description = "The instance's host is degraded",
  } = (value ?? {}) as Record<string, unknown>;
  if (typeof id !== "string" || typeof description !== "string") {
    throw new SatelliteError("InvalidEvent", 'an event needs "id", the instance that it is for');
  }
  const known = EVENT_CODES.find((candidate) => candidate === code);
  if (known === undefined) {
    throw new SatelliteError("InvalidEvent", `"code" of an event is one of ${EVENT_CODES.join(", ")}`);
  }
  if (typeof notBefore !== "string" || Number.isNaN(Date.parse(notBefore))) {
    throw new SatelliteError("InvalidEvent", 'an event needs "notBefore", an ISO 8601 time');
  }
  return { instance: id, code: known, description, notBefore };
}
