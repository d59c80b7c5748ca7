import { expect } from "chai";
import type { OperatorSettings } from "../../src/operator/settings.ts";
import { satellite } from "./fixtures.ts";
import { FATES, type Fate } from "./scripted-cloud.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** Pauses double from two seconds to ten minutes. */
const MOST_IN_FIRST_HOUR = 16;
const MOST_PER_HOUR = 8;

/** A satellite that never sleeps by itself. */
function sleepless(
  spec: Parameters<typeof satellite>[0] = {},
  settings: Partial<OperatorSettings> = {},
): World {
  const satellites = [satellite({ ...spec, spec: { idleTimeout: "0s", ...spec.spec } })];
  return new World({ satellites, settings });
}

async function asleep(settings: Partial<OperatorSettings> = {}): Promise<World> {
  const world = sleepless({}, settings);
  await world.run(MINUTE);
  world.setPower("off");
  await world.run(MINUTE);
  return world;
}

/** How often `call` was made in each of `hours` hours. */
async function perHour(world: World, call: "launch" | "start", hours: number): Promise<number[]> {
  const counts: number[] = [];
  for (let hour = 0; hour < hours; hour++) {
    const before = world.cloud.count(call);
    await world.run(HOUR);
    counts.push(world.cloud.count(call) - before);
  }
  return counts;
}

function expectBounded([first = Infinity, ...later]: readonly number[]): void {
  expect(first).to.be.within(2, MOST_IN_FIRST_HOUR);
  for (const count of later) {
    expect(count).to.be.within(2, MOST_PER_HOUR);
  }
}

describe("a launch or a start that the cloud accepts and cannot carry out", () => {
  for (const [fate, { code, message, reason, advice }] of Object.entries(FATES)) {
    const befallen = fate as Fate;

    it(`is tried again after growing pauses and says why: ${fate} at each launch`, async () => {
      const world = sleepless();
      world.cloud.failLater("launch", befallen, Infinity);
      expectBounded(await perHour(world, "launch", 2));
      for (const type of ["Ready", "Launched", "Healthy"] as const) {
        expect(world.condition(type)).to.include({ status: "False", reason });
      }
      expect(world.condition("Ready")?.message).to.include(code).and.include(message).and.include(advice);
      expect(world.events.filter(({ type }) => type === "Warning").map((event) => event.reason)).to.include(
        reason,
      );
    });

    it(`is tried again after growing pauses and says why: ${fate} at each start`, async () => {
      const world = await asleep();
      world.cloud.failLater("start", befallen, Infinity);
      world.setPower("on");
      expectBounded(await perHour(world, "start", 2));
      expect(world.condition("Ready")).to.include({ status: "False", reason });
      expect(world.condition("Healthy")).to.include({ status: "False", reason });
      expect(world.condition("Ready")?.message).to.include(code).and.include(advice);
      expect(world.cloud.count("launch")).to.equal(1);
    });
  }

  for (const [call, times] of [
    ["launch", 1],
    ["launch", 3],
    ["start", 1],
    ["start", 3],
  ] as const) {
    it(`ends well when it passes: ${call}, ${times} times`, async () => {
      const world = call === "launch" ? sleepless() : await asleep();
      world.cloud.failLater(call, "broken", times);
      world.setPower("on");
      await world.run(5 * MINUTE);
      expect(world.satellite().status.phase).to.equal("Running");
      expect(world.condition("Healthy")?.status ?? "True").to.equal("True");
      await world.run(11 * MINUTE);
      expect(world.satellite().status.attempts).to.equal(undefined);
    });
  }

  it("is bounded as much by an operator that restarts all the time", async () => {
    const world = sleepless();
    world.cloud.failLater("launch", "broken", Infinity);
    for (let minute = 0; minute < 60; minute++) {
      await world.run(MINUTE);
      world.restart();
    }
    expect(world.cloud.count("launch")).to.be.within(2, MOST_IN_FIRST_HOUR);
    expect(world.satellite().status.attempts?.failed).to.be.greaterThan(8);
  });

  it("makes the satellite Failed after the fourth time, so that those who wait are told, and goes on", async () => {
    const world = sleepless();
    world.cloud.failLater("launch", "broken", 3);
    world.cloud.failLater("launch", "broken", 2);
    await world.run(8000);
    expect(world.satellite().status.phase).not.to.equal("Failed");
    await world.run(25_000);
    expect(world.satellite().status).to.include({ phase: "Failed" });
    await world.run(2 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
  });

  it("never makes it Failed for want of capacity, and goes on to other types and zones", async () => {
    const world = sleepless();
    world.cloud.failLater("launch", "noCapacity", 8);
    await world.run(2 * MINUTE);
    expect(world.satellite().status.phase).not.to.equal("Failed");
    const types = [...world.cloud.machines.values()].map(({ type }) => type);
    expect(new Set(types)).to.deep.equal(new Set(["m7i.xlarge", "m7a.xlarge"]));
  });

  it("goes on to another type where a stopped machine finds no capacity", async () => {
    const world = sleepless({ spec: { sleepMode: "Stop" } });
    await world.run(MINUTE);
    world.setPower("off");
    await world.run(MINUTE);
    world.cloud.failLater("start", "noCapacity", 1);
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.type": "m7a.xlarge" });
    expect(world.cloud.count("start")).to.equal(2);
  });

  it("is tried at once when the class is corrected", async () => {
    const world = sleepless();
    world.cloud.failLater("launch", "broken", 8);
    await world.run(7 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Failed");
    const before = world.cloud.count("launch");
    world.editClass(({ metadata }) => {
      metadata.generation = 2;
    });
    await world.run(1000);
    expect(world.cloud.count("launch")).to.equal(before + 1);
  });

  it("is relaunched whatever the policy for lost machines: nothing was lost", async () => {
    const world = sleepless({ spec: { machineLossPolicy: "Fail" } });
    world.cloud.failLater("launch", "broken", 2);
    await world.run(2 * MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": "i-3" });
  });

  it("is not tried for a satellite that is not wanted any more, which is then Asleep and not Failed", async () => {
    const world = sleepless();
    world.cloud.failLater("launch", "broken", Infinity);
    await world.run(5 * MINUTE);
    world.setPower("off");
    const before = world.cloud.count("launch");
    await world.run(HOUR);
    expect(world.cloud.count("launch") - before).to.be.at.most(1);
    expect(world.satellite().status.phase).to.equal("Asleep");
    expect(world.condition("Ready")).to.include({ status: "True" });
  });

  it("does not keep a satellite from being deleted", async () => {
    const world = sleepless();
    world.cloud.failLater("launch", "broken", Infinity);
    await world.run(5 * MINUTE);
    world.edit(({ metadata }) => {
      metadata.deletionTimestamp = "2026-01-01T00:05:00Z";
    });
    await world.run(MINUTE);
    expect(world.exists()).to.equal(false);
  });

  it("holds for a refresh of hibernation that nobody waits for, too", async () => {
    const world = await asleep({ refreshHibernatedMs: HOUR });
    world.cloud.failLater("start", "broken", Infinity);
    await world.run(HOUR - 5 * MINUTE);
    const before = world.cloud.count("start");
    await world.run(2 * HOUR);
    expect(world.cloud.count("start") - before).to.be.within(2, MOST_IN_FIRST_HOUR + MOST_PER_HOUR);
  });
});

describe("a machine that ends soon after it was awake", () => {
  /** Somebody ends each machine a few seconds after it is awake. */
  async function endEach(world: World, how: "terminated" | "stopped", durationMs: number): Promise<void> {
    for (let ms = 0; ms < durationMs; ms += 15_000) {
      await world.run(15_000);
      for (const machine of world.cloud.machines.values()) {
        if (machine.state === "running" && world.satellite().status.phase === "Running") {
          machine.state = how;
          machine.stateReason = FATES.shutDown;
        }
      }
    }
  }

  it("counts as an attempt that failed: launches of one that is terminated again and again", async () => {
    const world = sleepless();
    await endEach(world, "terminated", HOUR);
    expect(world.cloud.count("launch")).to.be.within(3, MOST_IN_FIRST_HOUR);
  });

  it("counts as an attempt that failed: starts of one that shuts itself down again and again", async () => {
    const world = sleepless();
    await endEach(world, "stopped", HOUR);
    expect(world.cloud.count("start")).to.be.within(3, MOST_IN_FIRST_HOUR);
    expect(world.satellite().status.attempts?.reason).to.equal(FATES.shutDown.reason);
  });

  it("is started at once where it was awake for long before", async () => {
    const world = sleepless();
    await world.run(HOUR);
    world.cloud.vanish("i-1");
    await world.run(20_000);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": "i-2" });
    expect(world.satellite().status.attempts).to.equal(undefined);
  });
});
