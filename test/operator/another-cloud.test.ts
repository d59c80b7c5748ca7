import { expect } from "chai";
import { inMemory, MEMORY_BLOCK, satelliteClass } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;
/** What the cloud that a class names elsewhere is called, and what it has. */
const OTHERS_WORDS = /EC2|AWS|security group|subnet/;

describe("a cloud in memory", () => {
  it("serves a satellite from its launch to its deletion, by its own block of the class alone", async () => {
    const own = satelliteClass(inMemory({ sizeGiB: 200, type: "fast" }));
    expect(own.spec).not.to.have.property("ec2");
    const world = new World({ satelliteClass: own });
    await world.run(MINUTE);
    world.setPower("off");
    await world.run(MINUTE);
    world.setPower("on");
    await world.run(MINUTE);
    const { status } = world.satellite();
    expect(status).to.nested.include({ phase: "Running", "machine.id": "i-1", "volume.id": "vol-2" });
    world.edit(({ metadata }) => {
      metadata.deletionTimestamp = "2026-01-01T00:01:00Z";
    });
    await world.run(MINUTE);
    expect(world.exists()).to.equal(false);
    expect([...world.cloud.machines.values()].map(({ state }) => state)).to.deep.equal(["terminated"]);
    expect([...world.cloud.volumes.keys()]).to.deep.equal([]);
  });

  it("is what messages speak of, in its own words", async () => {
    const said: string[] = [];
    const runs = async (world: World, durationMs: number): Promise<void> => {
      await world.run(durationMs);
      said.push(...(world.satellite().status.conditions ?? []).map(({ message }) => message));
    };
    const failing = new World();
    failing.cloud.failLater("launch", "broken", 1);
    await runs(failing, 2000);
    const silent = new World();
    silent.answers = () => false;
    await runs(silent, 2 * MINUTE);
    silent.cloud.neverStops = true;
    silent.setPower("off");
    await runs(silent, 2 * MINUTE);
    silent.cloud.unseen.byID.add("i-1");
    await runs(silent, MINUTE);
    said.push(...[...failing.events, ...silent.events].map(({ message }) => message));
    const all = said.join("\n");
    expect(all).to.include("(the memory says Memory.Broken: the memory's own words");
    expect(all).to.include("check that the rack's door lets operator and routers in");
    expect(all).to.include("the memory has not finished stopping machine i-1");
    expect(all).to.include("the memory does not show i-1").and.include("or ask its programmer");
    expect(all).not.to.match(OTHERS_WORDS);
  });

  it("is asked for by name: a satellite whose class names none that is known says so", async () => {
    const { spec, ...rest } = satelliteClass();
    const { [MEMORY_BLOCK]: _own, ...without } = spec as Record<string, unknown>;
    const world = new World({ satelliteClass: { ...rest, spec: without as typeof spec } });
    await world.run(MINUTE);
    expect(world.thrown).to.deep.equal([]);
    expect(world.satellite().status.phase).to.equal("Failed");
    expect(world.condition("Ready")).to.include({ status: "False", reason: "InvalidClass" });
    expect(world.condition("Ready")?.message).to.include("spec.memory");
  });

  it("gets back what it alone needs of a launch, from an operator that has not planned it", async () => {
    const world = new World();
    world.cloud.fail("launch", "server", Infinity);
    await world.run(MINUTE);
    const { details } = world.satellite().status.launch ?? {};
    expect(details).to.deep.equal({ rack: "eu-west-1a/0", diskGiB: "40" });
    world.restart();
    world.cloud.faults.length = 0;
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    expect(Object.fromEntries(world.cloud.racks)).to.deep.equal({ "i-1": "eu-west-1a/0" });
  });
});
