import { expect } from "chai";
import type { Machine } from "../../src/machines/cloud.ts";
import { inMemory } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;

function remove(world: World): void {
  world.edit(({ metadata }) => {
    metadata.deletionTimestamp = "2026-01-01T00:01:00Z";
  });
}

function alive(world: World): Machine[] {
  return [...world.cloud.machines.values()].filter(({ state }) => state !== "terminated");
}

describe("the deletion of a satellite whose launch has an unknown outcome", () => {
  it("ends without sending it again and again, once searches for its token have found nothing for long", async () => {
    const world = new World();
    world.cloud.fail("launch", "server", Infinity);
    await world.run(MINUTE);
    remove(world);
    const before = world.cloud.count("launch");
    await world.run(4 * MINUTE);
    expect(world.exists(), "too early to be sure").to.equal(true);
    expect(world.condition("Ready")).to.include({ status: "False" });
    await world.run(2 * MINUTE);
    expect(world.exists()).to.equal(false);
    expect(world.cloud.count("launch") - before).to.be.at.most(1);
    expect(world.cloud.count("findLaunched")).to.be.within(3, 40);
  });

  it("terminates the machine that was launched although no answer came", async () => {
    const world = new World();
    world.cloud.fail("launch", "server", Infinity, { takesEffect: true });
    await world.run(10_000);
    expect(alive(world)).to.have.length(1);
    remove(world);
    await world.run(MINUTE);
    expect(world.exists()).to.equal(false);
    expect(alive(world)).to.deep.equal([]);
  });

  it("does not end while the cloud cannot be asked, and sends nothing meanwhile", async () => {
    const world = new World();
    world.cloud.fail("launch", "server", Infinity);
    world.cloud.fail("findLaunched", "server", Infinity);
    await world.run(MINUTE);
    remove(world);
    await world.run(MINUTE);
    const before = world.cloud.count("launch");
    await world.run(60 * MINUTE);
    expect(world.exists()).to.equal(true);
    expect(world.cloud.count("launch")).to.equal(before);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "CloudUnavailable" });
    world.cloud.faults.length = 0;
    await world.run(10 * MINUTE);
    expect(world.exists()).to.equal(false);
  });

  it("ends at once where the launch was refused, whatever the code", async () => {
    const world = new World();
    world.cloud.fail("launch", "refused", Infinity);
    await world.run(MINUTE);
    remove(world);
    await world.run(1000);
    expect(world.exists()).to.equal(false);
    expect(world.cloud.count("findLaunched")).to.equal(0);
  });
});

describe("the deletion of a satellite whose data volume has an unknown outcome", () => {
  it("looks for the volume by its token, and ends when there is none", async () => {
    const world = new World();
    world.editClass(({ spec }) => {
      Object.assign(spec, inMemory({ sizeGiB: 20, type: "fast" }));
    });
    world.cloud.fail("createVolume", "server", Infinity);
    await world.run(MINUTE);
    remove(world);
    await world.run(10 * MINUTE);
    expect(world.exists()).to.equal(false);
    expect(world.cloud.count("findVolume")).to.be.at.least(3);
    expect(alive(world)).to.deep.equal([]);
  });
});

describe("a launch that was refused", () => {
  it("is planned anew by what the class says by then, also where nobody has heard of the code", async () => {
    const world = new World();
    world.cloud.fail("launch", "refused", 3);
    await world.run(1500);
    const token = world.satellite().status.launch?.token;
    expect(world.condition("Ready")).to.include({ status: "False", reason: "Refused" });
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    expect(world.satellite().status.launch?.token).not.to.equal(token);
  });

  it("for want of capacity goes through all types and zones at once, and then pauses", async () => {
    const world = new World();
    world.cloud.combinations = ["a", "b", "c"].flatMap((zone) =>
      ["m7i.xlarge", "m7a.xlarge", "m6i.xlarge", "m5.xlarge"].map((type) => `${type} eu-west-1${zone}`),
    );
    world.cloud.fail("launch", "capacity", Infinity);
    await world.run(1000);
    expect(world.cloud.count("launch"), "one round").to.equal(12);
    await world.run(5000);
    expect(world.cloud.count("launch"), "two more").to.equal(36);
    await world.run(60 * MINUTE);
    expect(world.cloud.count("launch")).to.be.at.most(12 * 40);
  });

  it("does not begin its pauses anew when the choice of what to launch fails in turn", async () => {
    const world = new World();
    world.cloud.fail("launch", "permission", Infinity);
    await world.run(20_000);
    world.cloud.fail("resolve", "permission", Infinity);
    const before = world.cloud.count("launch");
    await world.run(60 * MINUTE);
    expect(world.cloud.count("launch") - before).to.be.at.most(2);
    expect(world.cloud.count("resolve")).to.be.at.most(20);
  });
});
