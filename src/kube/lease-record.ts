import type { Lease } from "./resources.ts";

/** The part of a Lease that leader election reads and writes. */
export type LeaseSpec = NonNullable<Lease["spec"]>;

/** RFC 3339 with microseconds, the only form in which Kubernetes reads a MicroTime. */
export function microTime(date: Date): string {
  return date.toISOString().replace(/\.(\d{3})Z$/, ".$1000Z");
}

/** Who holds the lease; undefined when nobody does. */
export function holderOf(spec: LeaseSpec | undefined): string | undefined {
  const holder = spec?.holderIdentity;
  return holder === undefined || holder === "" ? undefined : holder;
}

/** The record with which `identity` takes or renews the lease. */
export function heldBy(
  identity: string,
  before: LeaseSpec | undefined,
  leaseDurationMs: number,
  now: Date,
): LeaseSpec {
  const renewTime = microTime(now);
  const mine = holderOf(before) === identity;
  const transitions = before?.leaseTransitions ?? 0;
  return {
    holderIdentity: identity,
    // Whole seconds, rounded up: others may wait longer than this process counts, never shorter.
    leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
    acquireTime: mine ? (before?.acquireTime ?? renewTime) : renewTime,
    renewTime,
    leaseTransitions: before === undefined || mine ? transitions : transitions + 1,
  };
}

/** The record that gives the lease up, as client-go writes it: without a holder, so that another process takes it at once. */
export function released(before: LeaseSpec | undefined, now: Date): LeaseSpec {
  const time = microTime(now);
  return {
    holderIdentity: "",
    leaseDurationSeconds: 1,
    acquireTime: time,
    renewTime: time,
    leaseTransitions: before?.leaseTransitions ?? 0,
  };
}
