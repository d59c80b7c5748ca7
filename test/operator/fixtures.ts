import type { Machine } from "../../src/machines/cloud.ts";
import { ownerTags } from "../../src/machines/tags.ts";
import { FINALIZER } from "../../src/satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../../src/satellite/types.ts";

/** UID of the cluster that the tests' machines belong to. */
export const CLUSTER = "cluster-a";

type Spec = Partial<Satellite["spec"]>;
type Status = Partial<Satellite["status"]>;

/** A satellite as the API server returns it, with its defaults. */
export function satellite(
  init: {
    readonly name?: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly spec?: Spec;
    readonly status?: Status;
    readonly annotations?: Record<string, string>;
    readonly deletionTimestamp?: string;
    readonly creationTimestamp?: string;
  } = {},
): Satellite {
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

/** A class with two sizes. */
export function satelliteClass(spec: Partial<SatelliteClass["spec"]> = {}): SatelliteClass {
  return {
    apiVersion: "satellites.dev/v1alpha1",
    kind: "SatelliteClass",
    metadata: {
      name: "default",
      uid: "uid-class",
      generation: 1,
      resourceVersion: "1",
      finalizers: ["satellites.dev/in-use"],
    },
    spec: {
      ec2: {
        region: "eu-west-1",
        image: { id: "ami-1" },
        subnets: { ids: ["subnet-1"] },
        securityGroups: { ids: ["sg-1"] },
        rootVolume: { sizeGiB: 40, type: "gp3" },
      },
      sizes: {
        small: { types: ["m7i.large"] },
        large: { types: ["m7i.xlarge", "m7a.xlarge", "m6i.xlarge"] },
      },
      defaultSize: "large",
      imageUpdates: "IfDataKept",
      guest: { kind: "image", tls: "Off", cpuPercent: 95, memoryPercent: 90, diskReservePercent: 15 },
      ...spec,
    },
    status: {},
  };
}

/** A machine of the satellite "team-a/ada". */
export function machine(init: Partial<Machine> = {}): Machine {
  return {
    id: "i-1",
    state: "running",
    type: "m7i.xlarge",
    zone: "eu-west-1a",
    image: "ami-1",
    address: "10.0.0.1",
    launchedAt: "2026-01-01T00:00:00.000Z",
    hibernationConfigured: true,
    volumes: [],
    tags: ownerTags(CLUSTER, { namespace: "team-a", name: "ada", uid: "uid-ada" }),
    ...init,
  };
}

/** Does something now; what it throws rejects the promise. */
export function promised<T>(work: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(work());
  });
}
