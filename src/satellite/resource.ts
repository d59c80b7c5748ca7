import type { Satellite } from "./types.ts";

/** Where the API server keeps Satellites. */
export const SATELLITES = {
  group: "satellites.dev",
  version: "v1alpha1",
  kind: "Satellite",
  plural: "satellites",
  namespaced: true,
} as const;

/** Where the API server keeps SatelliteClasses. */
export const SATELLITE_CLASSES = {
  group: "satellites.dev",
  version: "v1alpha1",
  kind: "SatelliteClass",
  plural: "satelliteclasses",
  namespaced: false,
} as const;

/** Keeps a Satellite until its machine is terminated, or kept on purpose. */
export const FINALIZER = "satellites.dev/machine";

/** Keeps a SatelliteClass while satellites name it. */
export const CLASS_FINALIZER = "satellites.dev/in-use";

/** Author of the operator's writes, as the API server records it. */
export const OPERATOR_FIELD_MANAGER = "satellites-operator";
/** Author of the routers' writes, as the API server records it. */
export const ROUTER_FIELD_MANAGER = "satellites-router";

/** Annotations that people set on a Satellite. */
export const Annotation = {
  /** "true" stops reconciling. */
  paused: "satellites.dev/paused",
  /** RFC 3339 time until which it is not put to sleep for idleness. */
  keepAwakeUntil: "satellites.dev/keep-awake-until",
  /** "true" applies pending changes at the next sleep, whatever the maintenance window. */
  updateNow: "satellites.dev/update-now",
  /** "true" lets a machine that is kept (deletionPolicy Retain) run on, where its class has no limit. */
  retainRunning: "satellites.dev/retain-running",
  /** ID of a machine to take over, where none is to be launched; its tags must allow it. */
  adopt: "satellites.dev/adopt",
} as const;

export type SatelliteSpec = Satellite["spec"];
export type SatelliteStatus = Satellite["status"];
export type Power = SatelliteStatus["power"];
export type PowerState = Power["state"];
export type Phase = NonNullable<SatelliteStatus["phase"]>;
export type Lease = SatelliteStatus["activity"][string];
export type Condition = NonNullable<SatelliteStatus["conditions"]>[number];
export type VolumeIntent = NonNullable<SatelliteStatus["volume"]>;
export type Replacement = NonNullable<SatelliteStatus["replacement"]>;
export type LaunchIntent = NonNullable<SatelliteStatus["launch"]>;
export type Health = NonNullable<SatelliteStatus["health"]>;
export type Hibernation = NonNullable<NonNullable<SatelliteStatus["machine"]>["hibernation"]>;
export type Unready = NonNullable<SatelliteStatus["unready"]>;
export type Attempts = NonNullable<SatelliteStatus["attempts"]>;

/** Whether reconciling is stopped by annotation. */
export function isPaused(satellite: Satellite): boolean {
  return satellite.metadata.annotations?.[Annotation.paused] === "true";
}
