/**
 * The power protocol: every patch by which router, operator and people agree on power (docs/power-protocol.md).
 * Each function is pure: it builds the patch from the object as its caller knows it, and the tests in the patch
 * make the API server refuse it when the caller's knowledge is old. A refusal (HTTP 422) means: read the object
 * and decide anew.
 */
import { pointerToken, set, test, type PatchOperation } from "./json-patch.ts";
import type { Lease, Power, PowerState } from "./resource.ts";
import type { Satellite } from "./types.ts";

/** Why the power is in its state; `status.power.reason`. */
export const PowerReason = {
  /** A machine is being made. */
  Launch: "Launch",
  /** Somebody wants it on. */
  Wake: "Wake",
  /** Nobody used it for its idleTimeout, or somebody set it off while nobody used it. */
  DesiredOff: "DesiredOff",
  /** Somebody set it off while streams were open; they are given drainTimeout. */
  Draining: "Draining",
  Deleting: "Deleting",
  /** Hibernated for almost 60 days: started, to sleep again. */
  Refresh: "Refresh",
  /** A new image or size is applied. */
  Update: "Update",
  /** The machine runs, but its port has been silent for long, and a reboot did not help. */
  Unreachable: "Unreachable",
  /** The cloud has announced to stop or reboot the machine; stopped and started, it runs on another host. */
  ScheduledEvent: "ScheduledEvent",
  /** The machine changed state, and it was not the operator. */
  Drift: "Drift",
} as const;

export type PowerReason = (typeof PowerReason)[keyof typeof PowerReason];

/** The moves that `status.power.state` may make; everything else is a bug. */
const LEGAL_MOVES: Readonly<Record<PowerState, readonly PowerState[]>> = {
  Off: ["Starting", "Stopping", "Updating"],
  Starting: ["Running", "Stopping", "Off"],
  Running: ["Stopping", "Off"],
  Stopping: ["Off"],
  Updating: ["Starting", "Stopping", "Off"],
};

/** Whether the operator may move from one power state to another. */
export function isLegalMove(from: PowerState, to: PowerState): boolean {
  return from === to || LEGAL_MOVES[from].includes(to);
}

/** Reasons for which a machine is stopped whatever `spec.desiredPower` says. */
const UNCONDITIONAL_STOPS: ReadonlySet<string> = new Set([
  PowerReason.Deleting,
  PowerReason.Update,
  PowerReason.Refresh,
  PowerReason.Unreachable,
  PowerReason.ScheduledEvent,
]);

/** Reasons for which the call waits until the routers have let their streams end. */
const DRAINING_STOPS: ReadonlySet<string> = new Set([
  PowerReason.Draining,
  PowerReason.Deleting,
  PowerReason.ScheduledEvent,
]);

/** Whether the routers are given time to let their streams end, which they confirm by `drainedEpoch`. */
export function isDraining({ state, reason = "" }: Power): boolean {
  return state === "Stopping" && DRAINING_STOPS.has(reason);
}

/**
 * `status.power` of the next stretch of being awake: the Starting intent of the epoch after `power`'s. The one place where
 * an epoch goes up.
 *
 * @param intent.accepted whether the machine runs already, so that no call is to be sent
 * @param intent.since RFC 3339
 */
export function nextEpoch(
  power: Power,
  intent: { readonly reason: PowerReason; readonly accepted: boolean; readonly since: string },
): Power {
  return { state: "Starting", epoch: power.epoch + 1, fence: 0, ...intent };
}

function identity(satellite: Satellite): PatchOperation {
  return test("/metadata/uid", satellite.metadata.uid);
}

/**
 * A router's request for power. It tests no desiredPower: setting "on" where it is "on" is no write
 * (docs/decisions/0016).
 */
export function wakePatch(satellite: Satellite): PatchOperation[] {
  return [identity(satellite), test("/spec/wakePolicy", "OnRequest"), set("/spec/desiredPower", "on")];
}

/**
 * The operator's wish to wake a satellite because its schedule says so. A change of the spec in the meantime wins.
 * wakePolicy does not matter, since the schedule is the owner's wish too.
 */
export function scheduledWakePatch(satellite: Satellite): PatchOperation[] {
  return [
    identity(satellite),
    test("/metadata/generation", satellite.metadata.generation),
    set("/spec/desiredPower", "on"),
  ];
}

/**
 * The operator's wish to put an idle satellite to sleep: neither the spec nor any router's entry may have changed
 * since it looked. Labels and conditions may (docs/decisions/0010).
 */
export function idleOffPatch(satellite: Satellite): PatchOperation[] {
  return [
    identity(satellite),
    test("/metadata/generation", satellite.metadata.generation),
    test("/status/activity", satellite.status.activity),
    set("/spec/desiredPower", "off"),
  ];
}

/**
 * A router's lease on being awake. It holds only for the stretch of being awake that the router knows: a stop
 * whose intent was written first makes it fail. Written to the status subresource.
 *
 * @param router key of the router in `status.activity`
 */
export function leasePatch(satellite: Satellite, router: string, lease: Lease): PatchOperation[] {
  return [
    identity(satellite),
    test("/spec/desiredPower", "on"),
    test("/status/power/state", satellite.status.power.state),
    test("/status/power/epoch", satellite.status.power.epoch),
    set(`/status/activity/${pointerToken(router)}`, lease),
    set("/status/lastActiveTime", lease.time),
  ];
}

/**
 * A router's report of its open streams that asks for nothing: streams ran out, or it has drained. Unlike a
 * lease it is accepted in every power state. Written to the status subresource.
 */
export function activityPatch(satellite: Satellite, router: string, lease: Lease): PatchOperation[] {
  return [
    identity(satellite),
    set(`/status/activity/${pointerToken(router)}`, lease),
    set("/status/lastActiveTime", lease.time),
  ];
}

/**
 * Removes entries of routers, unless one of them has changed. The operator does so for routers that are gone for good, and a
 * router as its last act. Written to the status subresource.
 */
export function removeActivityPatch(satellite: Satellite, ...routers: readonly string[]): PatchOperation[] {
  const removals = routers.flatMap((router): PatchOperation[] => {
    const path = `/status/activity/${pointerToken(router)}`;
    return [test(path, satellite.status.activity[router]), { op: "remove", path }];
  });
  return [identity(satellite), ...removals];
}

/**
 * Tests that make the API server refuse a move of `status.power` that was decided on old knowledge: all of
 * `/status/power` must be as read, so that a late patch of an operator that has crashed fails. Starting
 * needs the wish "on"; stopping needs the wish "off" and, unless streams are given time to drain, that no
 * router has written since.
 *
 * @throws Error when the move is not one of the protocol: a bug in the caller
 */
export function powerTests(satellite: Satellite, next: Power): PatchOperation[] {
  const { power, activity } = satellite.status;
  if (!isLegalMove(power.state, next.state)) {
    throw new Error(`power cannot move from ${power.state} to ${next.state}`);
  }
  const tests = [identity(satellite), test("/status/power", power)];
  const moves = power.state !== next.state;
  const reason = next.reason ?? "";
  if (moves && next.state === "Starting" && reason !== PowerReason.Refresh && reason !== PowerReason.Update) {
    tests.push(test("/spec/desiredPower", "on"));
  }
  if (moves && next.state === "Stopping" && !UNCONDITIONAL_STOPS.has(reason)) {
    tests.push(test("/spec/desiredPower", "off"));
    if (reason !== PowerReason.Draining) {
      tests.push(test("/status/activity", activity));
    }
  }
  if (moves && reason === PowerReason.Unreachable) {
    tests.push(test("/status/activity", activity));
  }
  return tests;
}
