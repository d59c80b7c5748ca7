import { newMemory, type Remembered } from "../../src/operator/memory/memory.ts";
import type { Observation } from "../../src/operator/observation.ts";
import { renderStatus } from "../../src/operator/render-status.ts";
import type { OperatorStatus } from "../../src/satellite/status-patch.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { CLUSTER, machine, satellite, satelliteClass } from "./fixtures.ts";
import { MemoryCloud } from "./memory-cloud.ts";

/** Wall clock of observations. */
export const NOW = new Date("2026-01-01T01:00:00Z");
/** Monotonic clock of observations. */
export const NOW_MS = 3_600_000;

/** What is not as usual; of memory, the parts in which something is remembered. */
export type Seen = Partial<Omit<Observation, "memory">> & { readonly memory?: Partial<Remembered> };

/** What an operator sees of a satellite that nobody uses and whose machine runs, unless told otherwise. */
export function observation(init: Seen = {}): Observation {
  const seen = init.satellite ?? satellite();
  return {
    cluster: CLUSTER,
    cloud: new MemoryCloud(new VirtualClock()),
    satelliteClass: satelliteClass(),
    machine: seen.status.machine === undefined ? undefined : machine(),
    listed: true,
    stray: undefined,
    strayVolume: undefined,
    keptAside: [],
    adoptee: undefined,
    adopteeVolume: undefined,
    adopteeUser: undefined,
    adopteeVolumeUser: undefined,
    adoptionRefusal: undefined,
    replacement: undefined,
    retired: undefined,
    volume: undefined,
    event: undefined,
    eventsKnown: true,
    awakeLimit: undefined,
    idleness: { remainingMs: Infinity, liveLeases: [], staleRouters: [] },
    now: NOW,
    nowMs: NOW_MS,
    ...init,
    memory: { ...newMemory(), ...init.memory },
    satellite: seen,
  };
}

/** The same, with a status that already says what is: nothing is left to be written before the next step. */
export function settled(observed: Observation): Observation {
  const { status } = observed.satellite;
  return {
    ...observed,
    satellite: { ...observed.satellite, status: { ...status, ...written(renderStatus(observed)) } },
  };
}

/** A status without the fields that are to be removed. */
function written(status: OperatorStatus): Partial<Satellite["status"]> {
  return Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined));
}
