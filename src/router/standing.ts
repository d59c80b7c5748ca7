import { findCondition } from "../satellite/conditions.ts";
import { isPaused, type Condition } from "../satellite/resource.ts";
import type { Satellite } from "../satellite/types.ts";
import { GrpcStatus } from "./engine.ts";
import { refusal, type Refusal } from "./refusal.ts";

/** Where the VM's gRPC port is, in one stretch of being awake. */
export interface Target {
  readonly epoch: number;
  readonly host: string;
  readonly port: number;
  /** The key that the VM is known by, in hex; undefined where it serves plain text. */
  readonly tlsFingerprint?: string | undefined;
}

/**
 * How a satellite stands towards a request:
 * - `awake`: forward, under a lease
 * - `starting`: the cloud accepted this epoch's start and the address is known, so its port may be probed
 * - `moving`: on the way; wait for the operator
 * - `asleep`: it takes a wake
 * - `hopeless`: no waiting helps; say why
 */
export type Standing =
  | { readonly kind: "awake" | "starting"; readonly target: Target }
  | { readonly kind: "moving" }
  | { readonly kind: "asleep" }
  | { readonly kind: "hopeless"; readonly refusal: Refusal };

const MOVING: Standing = { kind: "moving" };
const ASLEEP: Standing = { kind: "asleep" };

/** Decides from the object alone. */
export function standingOf(satellite: Satellite): Standing {
  const { spec, status, metadata } = satellite;
  if (metadata.deletionTimestamp !== undefined) {
    return hopeless(satellite, "Deleting", "is being deleted");
  }
  const wanted = spec.desiredPower === "on";
  const target = targetOf(satellite);
  if (status.power.state === "Running" && target !== undefined) {
    return wanted ? { kind: "awake", target } : wakeOrRefuse(satellite);
  }
  const mayProbe = status.power.state === "Starting" && status.power.accepted && target !== undefined;
  if (wanted && mayProbe) {
    return { kind: "starting", target };
  }
  if (isPaused(satellite)) {
    return hopeless(
      satellite,
      "Paused",
      "is not awake, and the annotation satellites.dev/paused keeps the operator from waking it; remove the annotation",
    );
  }
  if (status.phase === "Failed") {
    const condition = failedCondition(status.conditions);
    return hopeless(
      satellite,
      condition?.reason ?? "Failed",
      `has failed and needs a person: ${condition?.message ?? "see its conditions"}`,
    );
  }
  return wanted ? MOVING : wakeOrRefuse(satellite);
}

/** What keeps a satellite from being ready, by its condition. */
export interface Trouble {
  /** CamelCase. */
  readonly reason: string;
  /** For people. */
  readonly message: string;
}

/** Reasons of Ready=False that say no more than that it is on its way: the states of power. */
const ON_ITS_WAY: ReadonlySet<string> = new Set(["Off", "Starting", "Running", "Stopping", "Updating"]);

/** What the condition Ready complains of; `undefined` where all is well or on its way. */
export function troubleOf({ status }: Satellite): Trouble | undefined {
  const ready = findCondition(status.conditions, "Ready");
  return ready?.status === "False" && !ON_ITS_WAY.has(ready.reason)
    ? { reason: ready.reason, message: ready.message }
    : undefined;
}

/** What people call the satellite. */
export function displayName(satellite: Satellite): string {
  return `${satellite.metadata.namespace ?? ""}/${satellite.metadata.name}`;
}

/** What a request for a satellite that does not exist is told. */
export function unknownSatellite(key: string): Refusal {
  return refusal(
    GrpcStatus.NOT_FOUND,
    `there is no satellite ${key}; kubectl get satellites --all-namespaces shows those that there are: correct the name, or ` +
      "the namespace (metadata satellite-namespace, the flag --namespace), or create it",
    "NotFound",
  );
}

/** Nobody connects to a VM that must be known by a key before the operator has seen the key. */
function targetOf({ status: { power, endpoint } }: Satellite): Target | undefined {
  if (endpoint === undefined || (endpoint.tls === "Required" && endpoint.tlsFingerprint === undefined)) {
    return undefined;
  }
  const { host, port, tlsFingerprint } = endpoint;
  return { epoch: power.epoch, host, port, tlsFingerprint };
}

function wakeOrRefuse(satellite: Satellite): Standing {
  return satellite.spec.wakePolicy === "Manual"
    ? hopeless(
        satellite,
        "WakePolicyManual",
        'is off and its wakePolicy is Manual, so requests do not wake it; set spec.desiredPower to "on"',
      )
    : ASLEEP;
}

function hopeless(satellite: Satellite, reason: string, what: string): Standing {
  const message = `satellite ${displayName(satellite)} ${what}`;
  return {
    kind: "hopeless",
    refusal: refusal(GrpcStatus.FAILED_PRECONDITION, message, reason, satellite.status.phase),
  };
}

/** The condition that says best why a satellite failed: Ready sums the others up. */
function failedCondition(conditions: readonly Condition[] | undefined): Condition | undefined {
  const failed = (conditions ?? []).filter(({ status }) => status === "False");
  return failed.find(({ type }) => type === "Ready") ?? failed[0];
}
