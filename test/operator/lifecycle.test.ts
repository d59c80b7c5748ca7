import { expect } from "chai";
import { satellite, satelliteClass } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;
const DAY = 24 * 3_600_000;

describe("a satellite's life", () => {
  it("is launched once, sleeps by hibernation and wakes with its memory", async () => {
    const world = new World();
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    world.setPower("off");
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Asleep", "sleep.kind": "Hibernated" });
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "usage.wakes": 1 });
    expect(world.events.map(({ reason }) => reason)).not.to.include("MemoryLost");
    expect(world.cloud.count("launch")).to.equal(1);
    expect(world.cloud.count("start")).to.equal(1);
    expect(world.cloud.count("stop")).to.equal(1);
    expect(world.thrown).to.deep.equal([]);
  });

  it("makes room among the entries of routers that are gone, asleep and awake, right after a restart", async () => {
    const world = new World();
    await world.run(MINUTE);
    for (const wish of ["off", "on"] as const) {
      world.setPower(wish);
      await world.run(10 * MINUTE);
      world.edit(({ status }) => {
        for (let index = 0; index < 64; index++) {
          const time = new Date(world.clock.now().getTime() - 2 * DAY).toISOString();
          status.activity[`router-${index}`] = { seq: 1, validSeconds: 1800, openStreams: 0, time };
        }
      });
      world.restart();
      await world.run(0);
      expect(world.satellite().status.activity).to.deep.equal({});
    }
  });

  it("is stopped where its machine was launched without hibernation, and the condition says so", async () => {
    const world = new World({ satellites: [satellite({ spec: { sleepMode: "Stop" } })] });
    await world.run(MINUTE);
    world.edit(({ spec }) => {
      spec.sleepMode = "Hibernate";
      spec.desiredPower = "off";
    });
    await world.run(MINUTE);
    expect(world.satellite().status.sleep?.kind).to.equal("Stopped");
    expect(world.condition("Hibernatable")).to.include({ status: "False", reason: "NotSupported" });
  });

  it("is said to have lost its memory when it booted anew from hibernation, until a wake that kept it", async () => {
    const world = new World();
    await world.run(MINUTE);
    world.setPower("off");
    await world.run(MINUTE);
    world.cloud.hibernated.delete("i-1");
    world.setPower("on");
    await world.run(20 * MINUTE);
    expect(world.events.map(({ reason }) => reason)).to.include("MemoryLost");
    expect(world.condition("Hibernatable")).to.include({ status: "Unknown", reason: "MemoryLost" });
    world.setPower("off");
    await world.run(MINUTE);
    expect(world.satellite().status.sleep?.kind).to.equal("Hibernated");
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.condition("Hibernatable")).to.include({ status: "True" });
  });

  it("says that its image is outdated when the class has another one by now", async () => {
    const world = new World({
      satelliteClass: { ...satelliteClass(), status: { resolved: { images: { amd64: "image-2" } } } },
    });
    await world.run(MINUTE);
    expect(world.condition("Updated")).to.include({ status: "False", reason: "ImageOutdated" });
    expect(world.condition("Updated")?.message).to.include("image-1").and.include("image-2");
  });

  it("gets another machine when somebody terminates its own", async () => {
    const world = new World();
    await world.run(MINUTE);
    world.cloud.vanish("i-1");
    await world.run(20 * MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": "i-2" });
    expect(world.events.map(({ reason }) => reason)).to.include("MachineGone");
  });

  it("is Failed instead where its policy says so, with what to do, and gets another machine when told to", async () => {
    const world = new World({ satellites: [satellite({ spec: { machineLossPolicy: "Fail" } })] });
    await world.run(MINUTE);
    world.cloud.vanish("i-1");
    await world.run(20 * MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Failed", "power.state": "Off" });
    expect(world.condition("Ready")).to.include({ status: "False", reason: "MachineLost" });
    expect(world.condition("Ready")?.message).to.include("spec.machineLossPolicy");
    const { length } = world.cloud.calls;
    await world.run(20 * MINUTE);
    expect(world.cloud.count("launch")).to.equal(1);
    expect(world.cloud.calls.slice(length).filter((call) => !call.startsWith("describe"))).to.deep.equal([]);
    world.edit(({ spec }) => {
      spec.machineLossPolicy = "Relaunch";
    });
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": "i-2" });
    expect(world.condition("Healthy")).to.include({ status: "True" });
  });

  it("is not launched before its class is kept from going", async () => {
    const { metadata, ...rest } = satelliteClass();
    const world = new World({ satelliteClass: { ...rest, metadata: { ...metadata, finalizers: [] } } });
    await world.run(MINUTE);
    expect(world.cloud.count("launch")).to.equal(0);
    world.editClass((held) => {
      held.metadata.finalizers = ["satellites.dev/in-use"];
    });
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
  });

  it("says that its machine is stuck in a stop, and forces it no oftener than every ten minutes", async () => {
    const world = new World({ satellites: [satellite({ spec: { sleepMode: "Stop" } })] });
    await world.run(MINUTE);
    world.cloud.neverStops = true;
    world.setPower("off");
    await world.run(60 * MINUTE);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "Stuck" });
    expect(world.cloud.count("stop")).to.be.within(4, 7);
    world.cloud.neverStops = false;
    await world.run(20 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Asleep");
  });

  it("ends with its machine terminated", async () => {
    const world = new World();
    await world.run(MINUTE);
    world.edit(({ metadata }) => {
      metadata.deletionTimestamp = "2026-01-01T00:01:00Z";
    });
    await world.run(MINUTE);
    expect(world.exists()).to.equal(false);
    expect([...world.cloud.machines.values()].map(({ state }) => state)).to.deep.equal(["terminated"]);
  });

  it("is refreshed by day 59 of hibernation, and sleeps again without being wished awake", async () => {
    const world = new World();
    await world.run(MINUTE);
    world.setPower("off");
    await world.run(58 * DAY);
    expect(world.cloud.count("start")).to.equal(0);
    await world.run(2 * DAY);
    expect(world.cloud.count("start")).to.equal(1);
    expect(world.satellite()).to.nested.include({
      "spec.desiredPower": "off",
      "status.power.state": "Off",
      "status.sleep.kind": "Hibernated",
      "status.sleep.reason": "Refresh",
    });
    await world.run(58 * DAY);
    expect(world.cloud.count("start")).to.equal(1);
  });
});
