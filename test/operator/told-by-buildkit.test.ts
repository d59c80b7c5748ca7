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
  let [asked, measured] = [0, 0];
  world.buildkit = (measures) => {
    asked += 1;
    return {
      version: "v0.33.1",
      answers: { [LIST_WORKERS]: Buffer.from(`answer ${asked}`).toString("base64") },
      cacheMaxBytes: 8_000_000,
      ...(measures ? { cacheBytes: 7_000_000 + measured++ } : {}),
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
    expect(machineOf(world)?.buildkit).to.include({ version: "v0.33.1", cacheMaxBytes: 8_000_000 });
    expect(machineOf(world)?.answers).to.have.all.keys(LIST_WORKERS);
  });

  it("is measured before it is put to sleep, and kept while it sleeps", async () => {
    const world = worldOf();
    await world.run(20 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Asleep");
    const facts = { version: "v0.33.1", cacheMaxBytes: 8_000_000, cacheBytes: 7_000_001 };
    expect(machineOf(world)?.buildkit).to.deep.equal(facts);
    world.restart();
    await world.run(5 * MINUTE);
    expect(machineOf(world)?.buildkit).to.deep.equal(facts);
  });

  it("is measured once an hour where it never sleeps", async () => {
    const world = worldOf();
    world.edit(({ spec }) => {
      spec.idleTimeout = "0s";
    });
    const sizes = new Set<number | undefined>();
    for (let minute = 0; minute < 170; minute += 10) {
      await world.run(10 * MINUTE);
      sizes.add(machineOf(world)?.buildkit?.cacheBytes);
    }
    expect([...sizes]).to.deep.equal([7_000_000, 7_000_001, 7_000_002]);
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
      cacheBytes: -1,
      cacheMaxBytes: 2 ** 63,
      answers: { [LIST_WORKERS]: "A".repeat(16_385), "/short": "AAAA" },
    });
    await world.run(5 * MINUTE);
    expect(machineOf(world)?.buildkit?.version).to.have.length(64);
    expect(machineOf(world)?.buildkit).to.include({ cacheBytes: 0, cacheMaxBytes: Number.MAX_SAFE_INTEGER });
    expect(machineOf(world)?.answers).to.deep.equal({ "/short": "AAAA" });
  });
});
