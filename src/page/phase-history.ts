import type { Phase } from "../satellite/resource.ts";

/** A phase and when it began, in milliseconds since 1970. */
export interface PhaseStart {
  readonly atMs: number;
  readonly phase: Phase;
}

/** One change of phase. */
export interface Transition extends PhaseStart {
  readonly key: string;
  readonly from: Phase;
  /** How long it had been in the phase before, as far as this process has seen. */
  readonly afterMs: number;
}

/** Bounds of a {@link PhaseHistory}. */
export interface HistoryBounds {
  /** How far back it goes, in milliseconds. */
  readonly windowMs: number;
  /** Satellites whose phases are kept; further ones are not. */
  readonly maxSatellites: number;
  /** Phases that are kept of each; the oldest are forgotten first. */
  readonly maxPhases: number;
  /** Changes that are listed. */
  readonly maxChanges: number;
}

/** A day; at most some 10 MB. */
export const DEFAULT_BOUNDS: HistoryBounds = {
  windowMs: 86_400_000,
  maxSatellites: 1_000,
  maxPhases: 200,
  maxChanges: 20,
};

/**
 * Which phases satellites went through since this process began to watch. It is in memory alone and bounded: by time, by
 * satellites, and by phases of each.
 */
export class PhaseHistory {
  readonly #bounds: HistoryBounds;
  readonly #phases = new Map<string, PhaseStart[]>();
  readonly #changes: Transition[] = [];

  constructor(bounds: HistoryBounds = DEFAULT_BOUNDS) {
    this.#bounds = bounds;
  }

  /** Takes note of what is. @returns the change of phase, where it is one */
  observe(key: string, phase: Phase, atMs: number): Transition | undefined {
    const phases = this.#phases.get(key);
    if (phases === undefined) {
      if (this.#phases.size < this.#bounds.maxSatellites) {
        this.#phases.set(key, [{ atMs, phase }]);
      }
      return undefined;
    }
    const last = phases.at(-1);
    if (last === undefined || last.phase === phase) {
      return undefined;
    }
    phases.push({ atMs, phase });
    const { windowMs, maxPhases, maxChanges } = this.#bounds;
    // What began before the window is kept as long as it reaches into it.
    const old = phases.findLastIndex((each) => each.atMs <= atMs - windowMs);
    phases.splice(0, Math.max(old, phases.length - maxPhases, 0));
    const transition = { key, from: last.phase, phase, atMs, afterMs: atMs - last.atMs };
    this.#changes.unshift(transition);
    this.#changes.splice(maxChanges);
    return transition;
  }

  /** Forgets one that is gone; the changes of its phase stay listed. */
  forget(key: string): void {
    this.#phases.delete(key);
  }

  /** Its phases, the oldest first; none where it is not kept. */
  phasesOf(key: string): readonly PhaseStart[] {
    return this.#phases.get(key) ?? [];
  }

  /** The last changes, the newest first. */
  changes(): readonly Transition[] {
    return this.#changes;
  }
}
