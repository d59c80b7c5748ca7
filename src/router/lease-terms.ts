import { parseDurationMs } from "../base/duration.ts";

/** Longest lease, and the lease of a satellite that never sleeps, in seconds (docs/power-protocol.md, "Router"). */
const MAX_LEASE_SECONDS = 30 * 60;
/** Bounds of the wait before streams that ran out are reported, in milliseconds. */
const MIN_QUIET_MS = 250;
const MAX_QUIET_MS = 60_000;

/**
 * `validSeconds` of a lease: as long as the satellite's idleTimeout, at most 30 minutes.
 *
 * @param idleTimeout as in the spec, e.g. "30m"; "0s" means never
 * @throws SatelliteError `InvalidDuration`
 */
export function leaseSeconds(idleTimeout: string): number {
  const idleSeconds = Math.floor(parseDurationMs(idleTimeout) / 1000);
  return idleSeconds === 0 ? MAX_LEASE_SECONDS : Math.min(idleSeconds, MAX_LEASE_SECONDS);
}

/** Milliseconds from sending a lease until nothing is admitted under it any more. */
export function admitMs(validSeconds: number): number {
  return (validSeconds * 1000) / 2;
}

/** Milliseconds from sending a lease until it is renewed while it is used. */
export function renewMs(validSeconds: number): number {
  return (validSeconds * 1000) / 3;
}

/**
 * Milliseconds for which no stream must have been open before that is reported. A report after every call would cost the
 * API server a write per call; this late, it moves the moment of sleep by a thirtieth.
 */
export function quietMs(validSeconds: number): number {
  return Math.min(MAX_QUIET_MS, Math.max(MIN_QUIET_MS, (validSeconds * 1000) / 30));
}
