import { expect } from "chai";
import { satellite } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;

/** A world whose satellite has run and sleeps now. */
async function asleep(sleepMode: "Hibernate" | "Stop"): Promise<World> {
  const world = new World({ satellites: [satellite({ spec: { sleepMode, size: "large" } })] });
  await world.run(MINUTE);
  world.setPower("off");
  await world.run(MINUTE);
  return world;
}

const resize = (world: World, size: string): void =>
  world.edit(({ spec }) => {
    spec.size = size;
  });

describe("a change of size", () => {
  it("is shown as pending while the satellite is awake, and makes the next sleep a stop", async () => {
    const world = new World();
    await world.run(MINUTE);
    resize(world, "small");
    await world.run(MINUTE);
    expect(world.condition("Updated")).to.include({ status: "False", reason: "SizeChangePending" });
    expect(world.cloud.count("changeType")).to.equal(0);
    world.setPower("off");
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({
      "sleep.kind": "Stopped",
      "machine.type": "m7i.large",
      "machine.size": "small",
    });
    expect(world.condition("Updated")).to.include({ status: "True" });
    expect(world.cloud.count("changeType")).to.equal(1);
    world.setPower("on");
    await world.run(MINUTE);
    world.setPower("off");
    await world.run(MINUTE);
    expect(world.satellite().status.sleep?.kind).to.equal("Hibernated");
  });

  it("is applied at once to a satellite that sleeps by stop", async () => {
    const world = await asleep("Stop");
    resize(world, "small");
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Asleep", "machine.type": "m7i.large" });
  });

  it("waits for the wake of a hibernated one, whose type cannot change, and comes at the sleep after", async () => {
    const world = await asleep("Hibernate");
    resize(world, "small");
    await world.run(MINUTE);
    expect(world.cloud.count("changeType")).to.equal(0);
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.type": "m7i.xlarge" });
    world.setPower("off");
    await world.run(MINUTE);
    expect(world.satellite().status.machine?.type).to.equal("m7i.large");
  });

  it("that cannot be had keeps the satellite from nothing, and says why", async () => {
    const world = await asleep("Stop");
    world.cloud.missingTypes.add("m7i.large");
    resize(world, "small");
    await world.run(10 * MINUTE);
    expect(world.condition("Updated")).to.include({ status: "False", reason: "NoTypeAvailable" });
    expect(world.satellite().status.phase).to.equal("Asleep");
    expect(world.cloud.count("suitableTypes")).to.be.at.most(10);
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.type": "m7i.xlarge" });
  });
});

describe("a change of size with a maintenance window", () => {
  const inWindow = (annotations: Record<string, string> = {}): World =>
    new World({
      satellites: [
        satellite({
          annotations,
          spec: {
            sleepMode: "Stop",
            size: "large",
            maintenance: { start: "01:00", duration: "1h", timeZone: "UTC" },
          },
        }),
      ],
    });

  for (const [told, minute] of [
    [false, 60],
    [true, 4],
  ] as const) {
    it(`is applied ${told ? "before it when told to by annotation" : "when it opens"}`, async () => {
      const world = inWindow(told ? { "satellites.dev/update-now": "true" } : {});
      await world.run(MINUTE);
      world.setPower("off");
      await world.run(MINUTE);
      resize(world, "small");
      await world.run((minute - 3) * MINUTE);
      expect(world.cloud.count("changeType")).to.equal(told ? 1 : 0);
      await world.run(15 * MINUTE);
      expect(world.cloud.count("changeType")).to.equal(1);
      expect(world.satellite().status.machine?.type).to.equal("m7i.large");
    });
  }
});

describe("a start for which there is no capacity", () => {
  const noCapacityFor = (world: World, ...types: string[]): void =>
    world.cloud.fail("start", "capacity", Infinity, {
      only: (machine) => types.includes(machine?.type ?? ""),
    });

  it("is tried with the next type of the size, at once, where the machine is stopped", async () => {
    const world = await asleep("Stop");
    noCapacityFor(world, "m7i.xlarge");
    world.setPower("on");
    await world.run(3000);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.type": "m7a.xlarge" });
    expect(world.cloud.count("start")).to.equal(2);
  });

  it("goes round the types once between two back-offs, and says why it waits", async () => {
    const world = await asleep("Stop");
    noCapacityFor(world, "m7i.xlarge", "m7a.xlarge", "m6i.xlarge");
    world.setPower("on");
    await world.run(1000);
    expect(world.cloud.count("start")).to.equal(3);
    await world.run(30 * MINUTE);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "InsufficientCapacity" });
    expect(world.cloud.count("start")).to.be.within(12, 120);
    world.cloud.faults.length = 0;
    await world.run(5 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
  });

  it("waits with its machine where that is hibernated", async () => {
    const world = await asleep("Hibernate");
    noCapacityFor(world, "m7i.xlarge");
    world.setPower("on");
    await world.run(30 * MINUTE);
    expect(world.cloud.count("changeType")).to.equal(0);
    expect(world.cloud.count("start")).to.be.within(8, 30);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "InsufficientCapacity" });
  });

  it("is repeated as it is where no other type can be had", async () => {
    const world = await asleep("Stop");
    world.cloud.missingTypes.add("m7a.xlarge").add("m6i.xlarge");
    noCapacityFor(world, "m7i.xlarge");
    world.setPower("on");
    await world.run(30 * MINUTE);
    expect(world.cloud.count("start")).to.be.within(8, 40);
    expect(world.cloud.count("suitableTypes")).to.be.at.most(4);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "InsufficientCapacity" });
  });

  it("is said to be unknown to the class, on a machine that is launched too, until it is corrected", async () => {
    const world = new World();
    await world.run(60_000);
    world.edit(({ spec }) => {
      spec.size = "huge";
    });
    await world.run(60_000);
    expect(world.condition("Updated")).to.include({ status: "False", reason: "SizeUnknown" });
    expect(world.condition("Updated")?.message).to.contain("small, large");
    world.edit(({ spec }) => {
      spec.size = "large";
    });
    await world.run(60_000);
    expect(world.condition("Updated")).to.include({ status: "True", reason: "UpToDate" });
  });
});
