import type { Clock, Timer } from "../../src/base/clock.ts";
import type { SimClock } from "./sim-clock.ts";

/** How work reaches a process: by one of its timers, or from outside. */
type Source = "timer" | "outside";

/**
 * One process of the product. Everything reaches it through {@link deliver}, so that it can be stopped in its
 * tracks: a process that was killed hears nothing any more, and so never acts again; one that is paused (SIGSTOP)
 * hears everything when it resumes, timers first, on a clock that went on meanwhile.
 */
export class SimProcess {
  /** What the plan calls it; the same for each incarnation. */
  readonly name: string;
  /** Counts the starts of processes of this name. */
  readonly incarnation: number;
  readonly clock: Clock;
  readonly #world: SimClock;
  #state: "running" | "paused" | "dead" = "running";
  #missed: { readonly source: Source; readonly work: () => void }[] = [];

  constructor(name: string, incarnation: number, world: SimClock) {
    this.name = name;
    this.incarnation = incarnation;
    this.#world = world;
    this.clock = {
      now: () => world.now(),
      monotonicMs: () => world.monotonicMs(),
      setTimer: (delayMs, callback) => this.#setTimer(delayMs, callback),
    };
  }

  get isDead(): boolean {
    return this.#state === "dead";
  }

  get isRunning(): boolean {
    return this.#state === "running";
  }

  /** Runs `work` in the process: now, when it resumes, or never. */
  deliver(work: () => void, source: Source = "outside"): void {
    if (this.#state === "running") {
      work();
    } else if (this.#state === "paused") {
      this.#missed.push({ source, work });
    }
  }

  kill(): void {
    this.#state = "dead";
    this.#missed = [];
  }

  pause(): void {
    if (this.#state === "running") {
      this.#state = "paused";
    }
  }

  resume(): void {
    if (this.#state !== "paused") {
      return;
    }
    this.#state = "running";
    const missed = this.#missed;
    this.#missed = [];
    // One by one, each in its own turn, as an event loop does: first the timers, then what came from outside.
    for (const source of ["timer", "outside"] as const) {
      for (const { work } of missed.filter((item) => item.source === source)) {
        this.#world.setTimer(0, () => this.deliver(work, source));
      }
    }
  }

  #setTimer(delayMs: number, callback: () => void): Timer {
    let isCancelled = false;
    const run = (): void => {
      if (!isCancelled) {
        callback();
      }
    };
    const timer = this.#world.setTimer(delayMs, () => {
      if (!isCancelled) {
        this.deliver(run, "timer");
      }
    });
    return {
      cancel: () => {
        isCancelled = true;
        timer.cancel();
      },
    };
  }
}
