import { FINALIZER } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";

/** How a satellite of a test differs from {@link satellite}. */
export interface SatelliteInit {
  readonly name?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly spec?: Partial<Satellite["spec"]>;
  readonly status?: Partial<Satellite["status"]>;
  readonly annotations?: Record<string, string>;
  readonly deletionTimestamp?: string;
  readonly creationTimestamp?: string;
}

/** A new satellite that shall be awake, as the API server returns it, with its defaults. */
export function satellite(init: SatelliteInit = {}): Satellite {
  const { name = "ada", namespace = "team-a", spec, status, annotations } = init;
  return {
    apiVersion: "satellites.dev/v1alpha1",
    kind: "Satellite",
    metadata: {
      name,
      namespace,
      uid: init.uid ?? `uid-${name}`,
      generation: 1,
      resourceVersion: "1",
      creationTimestamp: init.creationTimestamp ?? "2026-01-01T00:00:00Z",
      finalizers: [FINALIZER],
      ...(annotations === undefined ? {} : { annotations }),
      ...(init.deletionTimestamp === undefined ? {} : { deletionTimestamp: init.deletionTimestamp }),
    },
    spec: {
      desiredPower: "on",
      className: "default",
      architecture: "amd64",
      idleTimeout: "30m",
      sleepMode: "Hibernate",
      wakePolicy: "OnRequest",
      drainTimeout: "30s",
      port: 8372,
      machineLossPolicy: "Relaunch",
      deletionPolicy: "Delete",
      ...spec,
    },
    status: {
      power: { state: "Off", epoch: 0, accepted: false, fence: 0 },
      activity: {},
      ...status,
    },
  };
}

/** A satellite as somebody creates it at a server, which refuses metadata that it sets itself. */
export function asCreated(object: Satellite): Satellite {
  const { name, namespace = "", annotations = {}, labels = {} } = object.metadata;
  return { ...object, metadata: { name, namespace, annotations, labels } };
}
