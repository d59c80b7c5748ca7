import type { Observation } from "../../src/operator/observation.ts";
import { CLUSTER, machine, satellite, satelliteClass } from "./fixtures.ts";

/** Wall clock of observations. */
export const NOW = new Date("2026-01-01T01:00:00Z");
/** Monotonic clock of observations. */
export const NOW_MS = 3_600_000;

/** What an operator sees of a satellite that nobody uses and whose machine runs, unless told otherwise. */
export function observation(init: Partial<Observation> = {}): Observation {
  const seen = init.satellite ?? satellite();
  return {
    cluster: CLUSTER,
    satelliteClass: satelliteClass(),
    machine: seen.status.machine === undefined ? undefined : machine(),
    listed: true,
    stray: undefined,
    adoptee: undefined,
    adopteeUser: undefined,
    awake: undefined,
    idleness: { remainingMs: Infinity, liveLeases: [], staleRouters: [] },
    memory: {},
    now: NOW,
    nowMs: NOW_MS,
    ...init,
    satellite: seen,
  } as Observation;
}
