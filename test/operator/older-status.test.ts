import { expect } from "chai";
import { healthOf, hibernationOf, unreadyOf } from "../../src/operator/older-status.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { satellite } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;

/** Takes the fields away that a version before wrote as reasons of conditions alone. */
function asOlder({ status }: Satellite): void {
  delete status.health;
  delete status.unready;
  delete status.machine?.hibernation;
}

/** Everything but reads: what was done to machines. */
const changes = (world: World): string[] =>
  world.cloud.calls.filter((call) => !/^(describe|list|lookUp|resolve|inspect|lastWords)/.test(call));

const kept = (spec: Partial<Satellite["spec"]> = {}): World =>
  new World({ satellites: [satellite({ spec: { idleTimeout: "0s", ...spec } })] });

/** How each trouble comes about: the world at that point, and what follows. */
const TROUBLES: Readonly<
  Record<string, { readonly until: () => Promise<World>; readonly after: (world: World) => Promise<void> }>
> = {
  Rebooting: {
    until: async () => {
      const world = kept();
      await world.run(MINUTE);
      world.answers = () => false;
      await world.run(6.5 * MINUTE);
      return world;
    },
    after: (world) => world.run(60 * MINUTE),
  },
  Restarting: {
    until: async () => {
      const world = kept();
      await world.run(MINUTE);
      world.answers = () => false;
      await world.run(12.5 * MINUTE);
      return world;
    },
    after: (world) => world.run(60 * MINUTE),
  },
  Unreachable: {
    until: async () => {
      const world = kept();
      world.answers = () => false;
      await world.run(60 * MINUTE);
      return world;
    },
    after: async (world) => {
      await world.run(60 * MINUTE);
      world.answers = () => true;
      await world.run(MINUTE);
      expect(world.condition("Healthy")).to.include({ status: "True" });
    },
  },
  Stuck: {
    until: async () => {
      const world = kept({ sleepMode: "Stop" });
      await world.run(MINUTE);
      world.cloud.neverStops = true;
      world.setPower("off");
      await world.run(15 * MINUTE);
      return world;
    },
    after: async (world) => {
      await world.run(30 * MINUTE);
      expect(world.events.filter(({ reason }) => reason === "Stuck")).to.have.length(1);
    },
  },
  MachineLost: {
    until: async () => {
      const world = kept({ machineLossPolicy: "Fail" });
      await world.run(MINUTE);
      world.cloud.vanish("i-1");
      await world.run(20 * MINUTE);
      return world;
    },
    after: async (world) => {
      await world.run(60 * MINUTE);
      world.edit(({ spec }) => {
        spec.machineLossPolicy = "Relaunch";
      });
      await world.run(MINUTE);
      expect(world.satellite().status.phase).to.equal("Running");
    },
  },
  Refused: {
    until: async () => {
      const world = kept();
      await world.run(MINUTE);
      world.cloud.fail("stop", "hibernation-unsupported", 1);
      world.setPower("off");
      await world.run(MINUTE);
      return world;
    },
    after: async (world) => {
      world.setPower("on");
      await world.run(MINUTE);
      world.setPower("off");
      await world.run(MINUTE);
      expect(world.satellite().status.sleep).to.include({ kind: "Stopped" });
    },
  },
  MemoryLost: {
    until: async () => {
      const world = kept();
      await world.run(MINUTE);
      world.setPower("off");
      await world.run(MINUTE);
      world.cloud.hibernated.clear();
      world.setPower("on");
      await world.run(MINUTE);
      return world;
    },
    after: async (world) => {
      await world.run(MINUTE);
      expect(world.condition("Hibernatable")).to.include({ reason: "MemoryLost" });
      world.setPower("off");
      await world.run(MINUTE);
      world.setPower("on");
      await world.run(MINUTE);
      expect(world.condition("Hibernatable")).to.include({ status: "True" });
    },
  },
};

/** What stands in the status of what a trouble is about. */
const troubleOf = ({ status }: Satellite): string | undefined =>
  healthOf(status)?.trouble ?? hibernationOf(status)?.trouble;

describe("a status that a version before has written", () => {
  for (const [trouble, { until, after }] of Object.entries(TROUBLES)) {
    it(`is understood by who takes over: ${trouble}`, async () => {
      const [own, taken] = [await until(), await until()];
      const written = own.satellite();
      expect(troubleOf(written)).to.equal(trouble);
      taken.edit(asOlder);
      expect(healthOf(taken.satellite().status)).to.deep.equal(healthOf(written.status));
      expect(hibernationOf(taken.satellite().status)).to.deep.equal(hibernationOf(written.status));
      for (const world of [own, taken]) {
        world.restart();
        await after(world);
      }
      expect(changes(taken)).to.deep.equal(changes(own));
    });
  }

  it("has its fields after the first write", async () => {
    const world = await TROUBLES["Rebooting"]?.until();
    world?.edit(asOlder);
    await world?.run(0);
    expect(world?.satellite().status.health).to.include({ trouble: "Rebooting" });
  });

  it("says of a lost machine that another one takes its place, where that was allowed meanwhile", async () => {
    const world = (await TROUBLES["MachineLost"]?.until()) ?? expect.fail();
    world.edit((lost) => {
      asOlder(lost);
      lost.spec.machineLossPolicy = "Relaunch";
    });
    world.restart();
    const said = new Set<string | undefined>();
    const { beforePatch } = world.store;
    world.store.beforePatch = (...given) => {
      beforePatch(...given);
      said.add(world.condition("Healthy")?.message);
    };
    await world.run(MINUTE);
    const [lost, ...after] = said;
    expect(lost).to.include("was terminated outside");
    expect(after).to.deep.equal(["a new machine takes the place of the lost one"]);
  });

  it("says since when a satellite waits for a place, and which one only a person can mend", () => {
    const ready = {
      type: "Ready",
      status: "False",
      reason: "AwakeLimitReached",
      message: "",
      lastTransitionTime: "2026-01-01T00:00:07Z",
    } as const;
    const waiting = satellite({ status: { phase: "Pending", conditions: [ready] } });
    expect(unreadyOf(waiting.status)).to.deep.equal({ since: "2026-01-01T00:00:07Z" });
    const failed = satellite({ status: { phase: "Failed", conditions: [ready] } });
    expect(unreadyOf(failed.status)).to.deep.equal({ since: "2026-01-01T00:00:07Z", needsPerson: true });
    const well = satellite({ status: { conditions: [{ ...ready, status: "True" }] } });
    expect(unreadyOf(well.status)).to.equal(undefined);
  });
});

describe("what this version writes", () => {
  for (const [trouble, { until, after }] of Object.entries(TROUBLES)) {
    it(`never says in a condition what its fields do not say: ${trouble}`, async () => {
      const world = await until();
      const seen: Satellite["status"][] = [];
      const { beforePatch } = world.store;
      world.store.beforePatch = (...given) => {
        beforePatch(...given);
        seen.push(world.satellite().status);
      };
      await after(world);
      world.setPower("off");
      await world.run(10 * MINUTE);
      seen.push(world.satellite().status);
      expect(seen.length).to.be.greaterThan(0);
      for (const status of seen) {
        expect(healthOf(status)).to.deep.equal(status.health);
        expect(hibernationOf(status)).to.deep.equal(status.machine?.hibernation);
        expect(unreadyOf(status)).to.deep.equal(status.unready);
      }
    });
  }

  it("is understood, and not written again and again, where a CRD of before drops the new fields", async () => {
    const world = kept();
    world.store.prune = (object) => {
      if (object.kind === "Satellite") {
        asOlder(object as Satellite);
      }
    };
    await world.run(MINUTE);
    world.answers = () => false;
    await world.run(20 * MINUTE);
    expect(world.thrown).to.deep.equal([]);
    expect(world.satellite().status).to.include({ phase: "Failed" });
    expect(changes(world)).to.deep.equal(["launch", "reboot i-1", "stop i-1", "start i-1"]);
    const { patches } = world.store;
    await world.run(10 * MINUTE);
    expect(world.store.patches - patches).to.be.lessThan(150);
  });
});
