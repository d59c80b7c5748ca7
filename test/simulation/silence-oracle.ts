import type { Satellite } from "../../src/satellite/types.ts";

/** So long a satellite may be other than wished without a word. */
const PATIENCE_MS = 120_000;

/** Reasons of Ready that say no more than that it is not so yet. */
const NO_REASONS: ReadonlySet<string> = new Set(["Off", "Starting", "Running", "Stopping", "Updating"]);

/** Whether it is in the state that is wished. */
export function rests({ metadata, spec, status }: Satellite): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    status.power.state === (spec.desiredPower === "on" ? "Running" : "Off")
  );
}

/** Whether Ready names a cause; only reasons of states are none. */
export function explainsItself({ status }: Satellite): boolean {
  const ready = status.conditions?.find(({ type }) => type === "Ready");
  return ready?.status === "False" && !NO_REASONS.has(ready.reason);
}

/** Whenever a satellite does not reach its wish for two minutes, a condition says why. */
export class SilenceOracle {
  /** Since when each has been silent and not as wished, by UID. */
  readonly #sinceMs = new Map<string, number>();
  readonly #violate: (what: string) => void;

  constructor(violate: (what: string) => void) {
    this.#violate = violate;
  }

  /**
   * Looks at satellites; to be called every few seconds.
   *
   * @param satellites those of which an operator could say it
   */
  look(satellites: readonly Satellite[], nowMs: number): void {
    const silent = satellites.filter((satellite) => !rests(satellite) && !explainsItself(satellite));
    const uids = new Set(silent.map(({ metadata }) => metadata.uid ?? ""));
    for (const uid of this.#sinceMs.keys()) {
      if (!uids.has(uid)) {
        this.#sinceMs.delete(uid);
      }
    }
    for (const { metadata, spec, status } of silent) {
      const uid = metadata.uid ?? "";
      const sinceMs = this.#sinceMs.get(uid) ?? nowMs;
      this.#sinceMs.set(uid, sinceMs);
      if (nowMs - sinceMs >= PATIENCE_MS) {
        const wish = metadata.deletionTimestamp === undefined ? spec.desiredPower : "gone";
        const ready = status.conditions?.find(({ type }) => type === "Ready");
        this.#violate(
          `7: ${metadata.name} is wished ${wish} and ${status.power.state} for two minutes, and nothing says why: ` +
            `Ready ${ready?.reason ?? "unknown"}`,
        );
        this.#sinceMs.set(uid, Infinity);
      }
    }
  }
}
