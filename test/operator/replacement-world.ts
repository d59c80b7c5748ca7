import { expect } from "chai";
import { SATELLITE_CLASSES } from "../../src/satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../../src/satellite/types.ts";
import { inMemory, satellite, satelliteClass } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;
/** The image that a class comes to by {@link publish}. */
export const NEW_IMAGE = "image-2";

type ClassSpec = SatelliteClass["spec"];

/** A class whose image is image-1, with a data volume unless the test says otherwise. */
export function classWith(spec: Partial<ClassSpec> = {}, dataVolume = true): SatelliteClass {
  return {
    ...satelliteClass({ ...spec, ...(dataVolume ? inMemory({ sizeGiB: 200, type: "fast" }) : {}) }),
    status: { resolved: { images: { amd64: "image-1" } } },
  };
}

interface Given {
  readonly spec?: Partial<Satellite["spec"]>;
  readonly classSpec?: Partial<ClassSpec>;
  readonly dataVolume?: boolean;
  /** See {@link World.keyOf}. */
  readonly keyOf?: World["keyOf"];
}

/** A world whose satellite has come up and sleeps without its memory. */
export async function asleep(given: Given = {}): Promise<World> {
  const { spec = {}, classSpec = {}, dataVolume = true, keyOf } = given;
  const world = new World({
    satellites: [satellite({ spec: { idleTimeout: "0s", sleepMode: "Stop", ...spec } })],
    satelliteClass: classWith(classSpec, dataVolume),
  });
  world.keyOf = keyOf ?? world.keyOf;
  await world.run(MINUTE);
  expect(world.satellite().status.phase).to.equal("Running");
  world.setPower("off");
  await world.run(MINUTE);
  return world;
}

/** The class has another image from now on. */
export function publish(world: World, image = NEW_IMAGE): void {
  world.cloud.image = image;
  world.store.edit<SatelliteClass>(SATELLITE_CLASSES, { name: "default" }, ({ status }) => {
    status.resolved = { images: { amd64: image } };
  });
}

/** The machines that exist, each by its image and its state. */
export const live = (world: World): string[] =>
  [...world.cloud.machines.values()]
    .filter(({ state }) => state !== "terminated" && state !== "shutting-down")
    .map(({ image, state }) => `${image} ${state}`);

/** Which machine, by its image, has each volume. */
export const holders = (world: World): (string | undefined)[] =>
  [...world.cloud.volumes.values()].map(
    ({ attachment, state }) => world.cloud.machines.get(attachment?.machine ?? "")?.image ?? state,
  );
