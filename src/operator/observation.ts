import type { Machine, Volume } from "../machines/cloud.ts";
import type { Lease } from "../satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../satellite/types.ts";
import type { Blocker } from "./blocker.ts";
import type { CloudTraits } from "./unknown-cloud.ts";
import type { SeenEvent } from "./host-events.ts";
import type { Remembered } from "./memory/memory.ts";
import type { Adoption } from "./memory/ownership.ts";

/** How idle a satellite is (idle.ts). */
export interface Idleness {
  /** Milliseconds until the satellite may sleep; Infinity when it never does. */
  readonly remainingMs: number;
  /** Leases that routers may still count on. */
  readonly liveLeases: readonly Lease[];
  /** Routers that are gone for good, and whose entries may go. */
  readonly staleRouters: readonly string[];
}

/** Everything that one decision is made from. */
export interface Observation extends Adoption {
  /** The cluster's identity in tags. */
  readonly cluster: string;
  readonly satellite: Satellite;
  /** `undefined`: there is none of that name. */
  readonly satelliteClass: SatelliteClass | undefined;
  /** What messages say of the class's cloud. */
  readonly cloud: CloudTraits;
  /** The machine of `status.machine`, as the cloud describes it; `undefined`: reads do not show it, which proves nothing. */
  readonly machine: Machine | undefined;
  /** The machine in `status.replacement`. */
  readonly replacement: Machine | undefined;
  /** The machine in `status.retired`. */
  readonly retired: Machine | undefined;
  /** The volume of `status.volume`; read only while it may have to be attached, moved or deleted. */
  readonly volume: Volume | undefined;
  /** Whether a complete list of machines was taken, so that `stray` can be believed. */
  readonly listed: boolean;
  /** A live machine tagged with this satellite's name although `status` names none. */
  readonly stray: Machine | undefined;
  /** The volume where `stray` has its data; `undefined`: there is none, or reads do not show it. */
  readonly strayVolume: Volume | undefined;
  /** Live machines of the satellite that its status does not name, and that are kept for people (orphans.ts). */
  readonly keptAside: readonly Machine[];
  /** What the cloud has announced for the machine. */
  readonly event: SeenEvent | undefined;
  /** Whether a complete list of events was taken, so that the absence of one can be believed. */
  readonly eventsKnown: boolean;
  /** Why the class's limit does not let it be started now. */
  readonly awakeLimit: Blocker | undefined;
  readonly idleness: Idleness;
  readonly memory: Remembered;
  /** Wall clock, for what people read. */
  readonly now: Date;
  /** Monotonic clock, for measuring. */
  readonly nowMs: number;
}
