import type { Clock } from "../../src/base/clock.ts";

const HOUR_MS = 3_600_000;
/** Launches and starts of one satellite that EC2 accepted within an hour: each may have cost money. */
const MOST_ACCEPTED = 24;
/** The same with those that it refused at once: a round of all types and zones, then growing pauses. */
const MOST_SENT = 250;

/** Calls that bring a machine up are bounded for each satellite, in every world and whatever EC2 answers. */
export class AttemptOracle {
  readonly #clock: Clock;
  readonly #violate: (what: string) => void;
  readonly #times = new Map<string, number[]>();
  /** Whether calls have run away; the rest of such a story says nothing more. */
  hasRunAway = false;

  constructor(clock: Clock, violate: (what: string) => void) {
    this.#clock = clock;
    this.#violate = violate;
  }

  /** A call was made for a satellite, by its name. */
  onCall(satellite: string, action: string, outcome: "sent" | "accepted"): void {
    const nowMs = this.#clock.monotonicMs();
    const key = `${action} ${satellite} ${outcome}`;
    const times = (this.#times.get(key) ?? []).filter((ms) => nowMs - ms < HOUR_MS);
    times.push(nowMs);
    this.#times.set(key, times);
    const most = outcome === "sent" ? MOST_SENT : MOST_ACCEPTED;
    if (times.length === most + 1) {
      this.hasRunAway = true;
      this.#violate(`${action} was ${outcome} more than ${most} times within an hour for ${satellite}`);
    }
  }
}
