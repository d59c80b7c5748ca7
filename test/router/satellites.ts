import type { Power } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";

/** How a satellite of a test differs from one that sleeps. */
export interface SatelliteInit {
  readonly name?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly spec?: Partial<Satellite["spec"]>;
  readonly status?: Partial<Satellite["status"]>;
  readonly annotations?: Record<string, string>;
  readonly deletionTimestamp?: string;
}

/** A satellite that sleeps since epoch 3 and may be woken by requests. */
export function satellite(init: SatelliteInit = {}): Satellite {
  return {
    apiVersion: "satellites.dev/v1alpha1",
    kind: "Satellite",
    metadata: {
      name: init.name ?? "ada",
      namespace: init.namespace ?? "team-a",
      uid: init.uid ?? "uid-ada",
      ...(init.annotations === undefined ? {} : { annotations: init.annotations }),
      ...(init.deletionTimestamp === undefined ? {} : { deletionTimestamp: init.deletionTimestamp }),
    },
    spec: {
      desiredPower: "off",
      className: "default",
      architecture: "amd64",
      idleTimeout: "30m",
      sleepMode: "Hibernate",
      wakePolicy: "OnRequest",
      drainTimeout: "30s",
      port: 8372,
      machineLossPolicy: "Relaunch",
      deletionPolicy: "Delete",
      ...init.spec,
    },
    status: {
      phase: "Asleep",
      power: { state: "Off", epoch: 3, accepted: true, fence: 0 },
      activity: {},
      endpoint: { host: "127.0.0.1", port: 8372 },
      ...init.status,
    },
  };
}

/** A satellite that is awake in epoch 4. */
export function awake(init: SatelliteInit = {}): Satellite {
  return satellite({
    ...init,
    spec: { desiredPower: "on", ...init.spec },
    status: { phase: "Running", power: power("Running"), ...init.status },
  });
}

export function power(state: Power["state"], change: Partial<Power> = {}): Power {
  return { state, epoch: 4, accepted: true, fence: 0, ...change };
}
