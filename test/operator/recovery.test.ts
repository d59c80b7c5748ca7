import { expect } from "chai";
import type { Satellite } from "../../src/satellite/types.ts";
import { satellite } from "./fixtures.ts";
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
