/**
 * The key that a VM is known by (docs/decisions/0030). It is learned when the machine is first ready, written beside the
 * machine's ID, compared at every look from then on, and never replaced.
 */
import type { Machine } from "../machines/cloud.ts";
import type { SatelliteStatus } from "../satellite/resource.ts";
import type { Action } from "./action.ts";
import type { ProbeTrouble } from "./memory/port.ts";
import type { Observation } from "./observation.ts";
import type { ProbeTarget } from "./probe-target.ts";

type Endpoint = NonNullable<SatelliteStatus["endpoint"]>;

/** Reasons of a port that answers, but not as the satellite's VM should. */
export const KeyTrouble = {
  /** Another key than the recorded one. */
  OtherVM: "OtherVM",
  /** No TLS, although it is required. */
  TLSNotServed: "TLSNotServed",
} as const;

/** Whether a trouble is one of these. */
export function isKeyTrouble(trouble: string): boolean {
  return trouble === KeyTrouble.OtherVM || trouble === KeyTrouble.TLSNotServed;
}

/** The endpoint of a machine that the status did not name before: it has no key yet. `undefined` without an address. */
export function firstEndpoint(observed: Observation, machine: Machine): Endpoint | undefined {
  const { launch } = observed.satellite.status;
  const asked = launch !== undefined && launch.token === machine.clientToken ? launch.tls : undefined;
  const tls = asked ?? observed.satelliteClass?.spec.guest.tls ?? "Required";
  return machine.address === undefined
    ? undefined
    : { host: machine.address, port: observed.satellite.spec.port, tls };
}

/**
 * The endpoint of the machine that is to replace the one in use, once it can be used: its port has answered and, under TLS,
 * its key is known. It is another machine with a key of its own; until it is in use, `status.endpoint` stays that of the old
 * machine, key included.
 */
export function readyEndpoint(observed: Observation, machine: Machine): Endpoint | undefined {
  const endpoint = firstEndpoint(observed, machine);
  const { replacementProbe: seen } = observed.memory.port;
  if (endpoint === undefined || seen?.machine !== machine.id || !seen.ready) {
    return undefined;
  }
  const present = presentEndpoint(observed, endpoint);
  if (!needsKey(present)) {
    return present;
  }
  return seen.key?.host === present.host ? { ...present, tlsFingerprint: seen.key.fingerprint } : undefined;
}

/** The endpoint of the satellite's machine at the address that the cloud shows now; its key stays the same. */
export function movedEndpoint(observed: Observation, machine: Machine): Endpoint | undefined {
  const { endpoint } = observed.satellite.status;
  return endpoint === undefined
    ? firstEndpoint(observed, machine)
    : { ...endpoint, host: machine.address ?? endpoint.host, port: observed.satellite.spec.port };
}

/**
 * The endpoint as it is valid now. A machine keeps the TLS setting of its launch, except that a class may turn TLS off for
 * one whose key was never seen, since its guest cannot serve it.
 */
export function presentEndpoint(observed: Observation, endpoint: Endpoint): Endpoint {
  const givenUp = needsKey(endpoint) && observed.satelliteClass?.spec.guest.tls === "Off";
  return { ...endpoint, port: observed.satellite.spec.port, ...(givenUp ? { tls: "Off" } : {}) };
}

/** Whether nobody may use the VM before its key is recorded. */
export function needsKey({ tls, tlsFingerprint }: Endpoint): boolean {
  return tls === "Required" && tlsFingerprint === undefined;
}

/** The look at the port. */
export function probeAction(observed: Observation, endpoint: Endpoint): Action {
  return { kind: "Probe", ...targetOf(observed, endpoint) };
}

/** The look at the port of a machine that is to replace the one in use; `undefined` while it has no address. */
export function replacementProbeAction(observed: Observation, machine: Machine): Action | undefined {
  const endpoint = firstEndpoint(observed, machine);
  return endpoint === undefined
    ? undefined
    : { kind: "ProbeReplacement", id: machine.id, ...targetOf(observed, endpoint) };
}

function targetOf(observed: Observation, endpoint: Endpoint): ProbeTarget {
  const { host, port, tls = "Off", tlsFingerprint } = presentEndpoint(observed, endpoint);
  return { host, port, tls, ...(tlsFingerprint === undefined ? {} : { tlsFingerprint }) };
}

/** The endpoint with the key that the machine was just found to have, where none is recorded yet. */
export function withLearnedKey(observed: Observation, endpoint: Endpoint): Endpoint | undefined {
  const { power, machine } = observed.satellite.status;
  const { probe: seen } = observed.memory.port;
  const key = seen?.epoch === power.epoch ? seen.key : undefined;
  return needsKey(endpoint) && key?.machine === machine?.id && key?.host === endpoint.host
    ? { ...endpoint, tlsFingerprint: key?.fingerprint ?? "" }
    : undefined;
}

/** What is wrong with the VM that answered at the port, by the last look of this epoch. */
export function keyTrouble(
  observed: Observation,
  { epoch, state }: SatelliteStatus["power"],
): ProbeTrouble | undefined {
  const { probe: seen } = observed.memory.port;
  return seen?.epoch === epoch && (state === "Starting" || state === "Running") ? seen.trouble : undefined;
}

/** Whether a machine, as the cloud describes it, is the one that was looked at and can have answered at this address. */
export function isAt(machine: Machine | undefined, id: string | undefined, host: string): boolean {
  return (
    machine !== undefined &&
    machine.id === id &&
    machine.address === host &&
    (machine.state === "running" || machine.state === "pending")
  );
}

/** For the condition of a satellite whose VM shows another key. */
export function otherVm(observed: Observation, shown: string): ProbeTrouble {
  const { machine, endpoint } = observed.satellite.status;
  return {
    reason: KeyTrouble.OtherVM,
    message:
      `at ${endpoint?.host ?? ""}:${endpoint?.port ?? 0} a VM answers with the key ${shown}, but machine ` +
      `${machine?.id ?? ""} was first ready with ${endpoint?.tlsFingerprint ?? ""}, so nothing is sent to it. If you ` +
      "have given the machine a new key, remove status.endpoint.tlsFingerprint and the new one is recorded; else " +
      "take the machine for tampered with, and delete the satellite",
  };
}

/**
 * For the condition of a satellite whose VM must serve TLS and does not.
 *
 * @param hasServed whether it did when it was first ready
 */
export function tlsNotServed(why: string, hasServed: boolean): ProbeTrouble {
  const wayOut = hasServed
    ? "as it did when it was first ready"
    : 'or set spec.guest.tls of the SatelliteClass to "Off"';
  return {
    reason: KeyTrouble.TLSNotServed,
    message: `${why}; make the guest serve it (docs/guest.md), ${wayOut}`,
  };
}
