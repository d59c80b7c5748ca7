import type { Machine, VolumeShape } from "../../src/machines/cloud.ts";
import { ownerTags } from "../../src/machines/tags.ts";
import type { SatelliteClass } from "../../src/satellite/types.ts";

export { satellite } from "../support/satellites.ts";

/** Name of the block in a class that memory-cloud.ts reads. */
export const MEMORY_BLOCK = "memory";

/** UID of the cluster that the tests' machines belong to. */
export const CLUSTER = "cluster-a";

/** The block of a class whose machines are those of memory-cloud.ts. */
export function inMemory(dataVolume?: VolumeShape): Partial<SatelliteClass["spec"]> {
  const block = { [MEMORY_BLOCK]: { diskGiB: 40, ...(dataVolume === undefined ? {} : { dataVolume }) } };
  return block as Partial<SatelliteClass["spec"]>;
}

/** A class of machines in memory, with two sizes. It names no other cloud. */
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
      ...inMemory(),
      sizes: {
        small: { types: ["m7i.large"] },
        large: { types: ["m7i.xlarge", "m7a.xlarge", "m6i.xlarge"] },
      },
      defaultSize: "large",
      imageUpdates: "IfDataKept",
      guest: {
        kind: "image",
        tls: "Off",
        cpuPercent: 95,
        memoryPercent: 90,
        swapPercent: 0,
        maxProcesses: 8192,
        diskReservePercent: 15,
        answersAsleep: true,
      },
      ...spec,
    } as SatelliteClass["spec"],
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
    image: "image-1",
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
