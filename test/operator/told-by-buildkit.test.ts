import { expect } from "chai";
import type { Satellite } from "../../src/satellite/types.ts";
import { satellite, satelliteClass } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;
const LIST_WORKERS = "/moby.buildkit.v1.Control/ListWorkers";

type Machine = NonNullable<Satellite["status"]["machine"]>;

/** A satellite of a class whose guests are BuildKit, each of which tells how often it was asked. */
function worldOf(guest: Partial<ReturnType<typeof satelliteClass>["spec"]["guest"]> = {}): World {
  const usual = satelliteClass().spec.guest;
  const world = new World({
    satellites: [satellite({ spec: { idleTimeout: "10m" } })],
    satelliteClass: satelliteClass({ guest: { ...usual, kind: "buildkit", ...guest } }),
  });
  let asked = 0;
  world.buildkit = (measures) => {
    asked += 1;
    return {
      version: "v0.33.1",
      answers: { [LIST_WORKERS]: Buffer.from(`answer ${asked}`).toString("base64") },
      ...(measures ? { cacheBytes: 7_000_000 } : {}),
    };
  };
  return world;
}

const machineOf = (world: World): Machine | undefined => world.satellite().status.machine;

describe("what BuildKit tells the operator", () => {
  it("stands in the status from the moment that it is awake", async () => {
    const world = worldOf();
    await world.run(5 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    expect(machineOf(world)?.buildkit).to.deep.equal({ version: "v0.33.1" });
    expect(machineOf(world)?.answers).to.have.all.keys(LIST_WORKERS);
  });

  it("is measured before it is put to sleep, and kept while it sleeps", async () => {
    const world = worldOf();
    await world.run(20 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Asleep");
    expect(machineOf(world)?.buildkit).to.deep.equal({ version: "v0.33.1", cacheBytes: 7_000_000 });
    world.restart();
    world.setPower("on");
    await world.run(5 * MINUTE);
    expect(machineOf(world)?.buildkit).to.deep.equal({ version: "v0.33.1", cacheBytes: 7_000_000 });
  });

  it("is not kept for routers where the class says so", async () => {
    const world = worldOf({ answersAsleep: false });
    await world.run(5 * MINUTE);
    expect(machineOf(world)?.buildkit?.version).to.equal("v0.33.1");
    expect(machineOf(world)).not.to.have.property("answers");
  });

  it("is not asked of another kind of guest", async () => {
    const world = worldOf({ kind: "image" });
    await world.run(5 * MINUTE);
    expect(machineOf(world)).not.to.have.any.keys("buildkit", "answers");
  });

  it("is bounded before it is written", async () => {
    const world = worldOf();
    world.buildkit = () => ({
      version: "v".repeat(100),
      answers: { [LIST_WORKERS]: "A".repeat(16_385), "/short": "AAAA" },
    });
    await world.run(5 * MINUTE);
    expect(machineOf(world)?.buildkit?.version).to.have.length(64);
    expect(machineOf(world)?.answers).to.deep.equal({ "/short": "AAAA" });
  });
});
