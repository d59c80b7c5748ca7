import { isDraining } from "../satellite/power.ts";
import type { Satellite } from "../satellite/types.ts";

/** A lease that the API server accepted. */
export interface HeldLease {
  readonly uid: string | undefined;
  readonly epoch: number;
  /** When its patch was sent, on the monotonic clock. It counts from here: the operator starts later. */
  readonly sentAtMs: number;
  readonly validSeconds: number;
}

/** A lease on an epoch that is ending would be accepted (its tests name the state), but means nothing. */
export function isLeasable(satellite: Satellite): boolean {
  return satellite.spec.desiredPower === "on" && isAwakeOrStarting(satellite);
}

/** Whether the epoch of a lease is over. */
export function isEnded(lease: HeldLease, satellite: Satellite | undefined): boolean {
  return (
    satellite === undefined ||
    satellite.metadata.uid !== lease.uid ||
    satellite.status.power.epoch !== lease.epoch ||
    !isAwakeOrStarting(satellite)
  );
}

/**
 * The epoch whose end the operator waits to have acknowledged by this router; `undefined` when it does not wait, or this
 * router has acknowledged it, or has no entry.
 */
export function epochToDrain({ status }: Satellite, router: string): number | undefined {
  const { epoch } = status.power;
  const entry = status.activity[router];
  return isDraining(status.power) && entry !== undefined && entry.drainedEpoch !== epoch ? epoch : undefined;
}

function isAwakeOrStarting({ status }: Satellite): boolean {
  return status.power.state === "Running" || status.power.state === "Starting";
}
