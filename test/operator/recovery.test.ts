import { expect } from "chai";
import type { Satellite, SatelliteClass } from "../../src/satellite/types.ts";
import { MEMORY_BLOCK, satellite } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;

const awakeForEver = (): World => new World({ satellites: [satellite({ spec: { idleTimeout: "0s" } })] });

/** A router's lease, as if it had streams open. */
const lease = (world: World): void =>
  world.edit((object: Satellite) => {
    object.status.activity["router-0"] = {
      seq: 1,
      validSeconds: 1800,
      openStreams: 1,
      time: "2026-01-01T00:00:00Z",
    };
  });

describe("a machine that runs while its port is silent", () => {
  it("is rebooted after five minutes, and that is all when it helps", async () => {
    const world = awakeForEver();
    await world.run(MINUTE);
    world.answers = () => world.cloud.count("reboot") > 0;
    await world.run(5 * MINUTE);
    expect(world.cloud.count("reboot")).to.equal(0);
    await world.run(3 * MINUTE);
    expect(world.cloud.count("reboot")).to.equal(1);
    await world.run(30 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    expect(world.condition("Healthy")).to.include({ status: "True" });
    expect(world.cloud.count("stop")).to.equal(0);
  });

  it("is stopped and started when the reboot did not help, once", async () => {
    const world = awakeForEver();
    await world.run(MINUTE);
    world.answers = () => world.cloud.count("start") > 0;
    await world.run(20 * MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "power.epoch": 2 });
    expect(world.condition("Healthy")).to.include({ status: "True" });
    expect(world.cloud.calls.filter((call) => /^(reboot|stop|start)/.test(call))).to.deep.equal([
      "reboot i-1",
      "stop i-1",
      "start i-1",
    ]);
  });

  it("ends as Failed when nothing helps, with one reboot and one restart however long it lasts", async () => {
    const world = awakeForEver();
    await world.run(MINUTE);
    world.answers = () => false;
    await world.run(3 * 60 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Failed");
    expect(world.condition("Ready")).to.include({ status: "False", reason: "Unreachable" });
    expect(world.cloud.calls.filter((call) => /^(reboot|stop|start)/.test(call))).to.have.length(3);
    world.answers = () => true;
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    expect(world.condition("Ready")).to.include({ status: "True" });
  });

  it("is treated alike when it was launched so", async () => {
    const world = awakeForEver();
    world.answers = () => false;
    await world.run(60 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Failed");
    expect(world.events.map(({ reason }) => reason)).to.include.members(["Rebooting", "Unreachable"]);
    expect(world.cloud.calls.filter((call) => /^(reboot|stop|start)/.test(call))).to.have.length(3);
  });

  it("is left alone while a router may have streams on it", async () => {
    const world = awakeForEver();
    await world.run(MINUTE);
    lease(world);
    world.answers = () => false;
    await world.run(25 * MINUTE);
    expect(world.cloud.count("reboot")).to.equal(0);
    await world.run(20 * MINUTE);
    expect(world.cloud.count("reboot")).to.equal(1);
  });

  it("is not restarted by a new operator for what the old one has done", async () => {
    const world = awakeForEver();
    world.answers = () => false;
    await world.run(60 * MINUTE);
    world.restart();
    await world.run(60 * MINUTE);
    expect(world.cloud.count("reboot")).to.equal(1);
    expect(world.cloud.count("stop")).to.equal(1);
  });

  it("gets another chance when somebody puts it to sleep and wakes it", async () => {
    const world = awakeForEver();
    world.answers = () => false;
    await world.run(60 * MINUTE);
    world.setPower("off");
    await world.run(5 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Asleep");
    world.answers = () => true;
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    expect(world.condition("Healthy")).to.include({ status: "True" });
  });
});

describe("what a class lets be done about a silent port", () => {
  type Recovery = NonNullable<SatelliteClass["spec"]["recovery"]>;

  /** A satellite that has been awake, and whose port is silent from then on, whatever is done. */
  async function silent(recovery: Partial<Recovery>, block: Record<string, unknown> = {}): Promise<World> {
    const world = awakeForEver();
    world.editClass(({ spec }) => {
      spec.recovery = { action: "Restart", maxPerHour: 60, ...recovery };
      Object.assign(Reflect.get(spec, MEMORY_BLOCK) as object, block);
    });
    await world.run(MINUTE);
    world.answers = () => false;
    return world;
  }
  const changes = (world: World): string[] =>
    world.cloud.calls.filter((call) => /^(launch|reboot|stop|start|terminate|detach|attach)/.test(call));
  const steps = async (world: World): Promise<Record<string, number>> => {
    const { values } = await world.dependencies.metrics.recoverySteps.get();
    return Object.fromEntries(values.map(({ labels, value }) => [Object.values(labels).join(" "), value]));
  };

  it("is nothing with None: it is said, and nothing is touched", async () => {
    const world = await silent({ action: "None" });
    await world.run(60 * MINUTE);
    expect(changes(world)).to.deep.equal(["launch"]);
    expect(world.condition("Healthy")).to.include({ status: "False", reason: "Unreachable" });
    expect(world.condition("Healthy")?.message).to.contain("spec.recovery");
    expect(world.satellite().status.phase).to.equal("Failed");
    expect(await steps(world)).to.deep.equal({});
  });

  it("is a reboot alone with Reboot", async () => {
    const world = await silent({ action: "Reboot" });
    await world.run(60 * MINUTE);
    expect(changes(world)).to.deep.equal(["launch", "reboot i-1"]);
    expect(world.condition("Healthy")?.message).to.contain("a reboot did not help");
    expect(await steps(world)).to.deep.equal({ "default Rebooting": 1 });
  });

  it("comes after the silence that the class names", async () => {
    const world = await silent({ action: "Reboot", unhealthyAfter: "30m" });
    await world.run(29 * MINUTE);
    expect(world.cloud.count("reboot")).to.equal(0);
    await world.run(3 * MINUTE);
    expect(world.cloud.count("reboot")).to.equal(1);
  });

  it("is another machine with Replace, which takes the data volume over, when all else did not help", async () => {
    const world = await silent({ action: "Replace" }, { dataVolume: { sizeGiB: 8, type: "gp3" } });
    const first = world.satellite().status;
    world.answers = (address) => address !== first.endpoint?.host;
    await world.run(40 * MINUTE);
    const { status } = world.satellite();
    expect(status).to.nested.include({ phase: "Running", "power.state": "Running" });
    expect(status.machine?.id).not.to.equal(first.machine?.id);
    expect(status.volume?.id).to.equal(first.volume?.id);
    expect(status.machine?.image, "the image").to.equal(first.machine?.image);
    expect(world.condition("Healthy")).to.include({ status: "True" });
    expect(world.cloud.machines.get(first.machine?.id ?? "")?.state).to.equal("terminated");
    expect(await steps(world)).to.deep.equal({
      "default Rebooting": 1,
      "default Restarting": 1,
      "default Replacing": 1,
    });
  });

  it("goes back to the old machine where the other one is silent as well, and tries no third one", async () => {
    const world = await silent({ action: "Replace" });
    const first = world.satellite().status.machine?.id;
    await world.run(6 * 60 * MINUTE);
    expect(world.satellite().status.machine?.id).to.equal(first);
    expect(world.satellite().status.phase).to.equal("Failed");
    expect(world.cloud.count("launch")).to.equal(2);
    const alive = [...world.cloud.machines.values()].filter(({ state }) => state !== "terminated");
    expect(alive.map(({ id }) => id)).to.deep.equal([first]);
    world.answers = () => true;
    await world.run(MINUTE);
    expect(world.condition("Healthy")).to.include({ status: "True" });
  });

  it("is bounded per hour, over the end of the operator, and goes on where it was", async () => {
    const world = await silent({ maxPerHour: 1 });
    await world.run(15 * MINUTE);
    expect(changes(world)).to.deep.equal(["launch", "reboot i-1"]);
    expect(world.condition("Healthy")).to.include({ status: "False", reason: "Rebooting" });
    expect(world.condition("Healthy")?.message).to.contain("its class allows one step in an hour");
    await world.run(40 * MINUTE);
    expect(changes(world)).to.deep.equal(["launch", "reboot i-1"]);
    await world.run(20 * MINUTE);
    expect(changes(world)).to.deep.equal(["launch", "reboot i-1", "stop i-1", "start i-1"]);
  });

  it("is bounded too where each reboot helps for a while", async () => {
    const world = await silent({ maxPerHour: 2 });
    let healthyUntilMs = 0;
    world.answers = () => world.clock.monotonicMs() < healthyUntilMs;
    let reboots = 0;
    for (let minute = 0; minute < 6 * 60; minute += 1) {
      await world.run(MINUTE);
      if (world.cloud.count("reboot") > reboots) {
        reboots = world.cloud.count("reboot");
        healthyUntilMs = world.clock.monotonicMs() + 3 * MINUTE;
      }
    }
    expect(reboots).to.be.within(8, 13);
    expect(world.events.map(({ reason }) => reason)).to.contain("RecoveryPaused");
    expect(world.cloud.count("stop")).to.equal(0);
  });
});

describe("many machines whose ports are silent", () => {
  /** How often a port is looked at in a minute of silence, of so many satellites. */
  async function looksAtOne(count: number): Promise<number> {
    const names = Array.from({ length: count }, (_, index) => `silent-${index}`);
    const world = new World({
      satellites: names.map((name) => satellite({ name, spec: { idleTimeout: "0s" } })),
      settings: { probePollMs: 1000, probeSpacingMs: 500 },
    });
    let looks = 0;
    world.answers = () => {
      looks += 1;
      return false;
    };
    await world.run(MINUTE);
    return looks / count;
  }

  it("are each looked at less often, so that all together cost no more", async () => {
    const [one, two, eight] = [await looksAtOne(1), await looksAtOne(2), await looksAtOne(8)];
    expect(two, "two fit into the shortest pause").to.be.closeTo(one, 3);
    expect(eight).to.be.within(one / 4 - 3, one / 4 + 3);
  });
});
