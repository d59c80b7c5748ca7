import { DEFAULT_IDENTITY_LIMITS, type IdentityLimitOptions } from "./identity-limits.ts";

/** How a router holds and wakes. */
export interface GateOptions {
  /** Most requests held for one satellite. Default 1,000. */
  readonly maxHeldPerSatellite?: number;
  /** Most requests held in all. Default 20,000. */
  readonly maxHeld?: number;
  /** Longest hold of one request, in milliseconds. Default 20 minutes. */
  readonly maxHoldMs?: number;
  /**
   * Methods that neither wake nor keep awake: full paths ("/package.Service/Method"), or services ("/package.Service/").
   * They are answered UNAVAILABLE while the satellite is not awake, and are cut when it falls asleep. Default: none.
   */
  readonly noWakeMethods?: readonly string[];
  /**
   * Milliseconds without any change of a satellite that is wished on but off, after which the operator is taken to be
   * absent. Requests are held on; the reason is named when their time runs out. Default 60,000.
   */
  readonly stalledMs?: number;
  /** Milliseconds for which requests wait for a satellite that is said to run but does not answer. Default 30,000. */
  readonly unreachableMs?: number;
  /** What one caller may ask for; callers without a name, as under anonymous access, are not limited. */
  readonly identities?: IdentityLimitOptions;
}

/** {@link GateOptions} with its defaults. */
export const DEFAULT_GATE_OPTIONS: Required<GateOptions> = {
  maxHeldPerSatellite: 1000,
  maxHeld: 20_000,
  maxHoldMs: 20 * 60_000,
  noWakeMethods: [],
  stalledMs: 60_000,
  unreachableMs: 30_000,
  identities: DEFAULT_IDENTITY_LIMITS,
};
