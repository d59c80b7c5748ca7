import { expect } from "chai";
import { decide } from "../../src/operator/decide.ts";
import { defaultSettings } from "../../src/operator/settings.ts";
import { transitionPollMs } from "../../src/operator/waiting.ts";
import { Annotation } from "../../src/satellite/resource.ts";
import { machine, satellite } from "./fixtures.ts";
import { asleep, publish } from "./replacement-world.ts";
import { NOW, observation } from "./observation.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;

describe("what takes long", () => {
  it("is said: a port that does not answer, from the first minute on", async () => {
    const world = new World();
    world.answers = () => false;
    await world.run(40_000);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "Starting" });
    await world.run(60_000);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "ComingUp" });
    expect(world.condition("Ready")?.message).to.include("port 8372 of 10.0.0.1");
  });

  it("is said: a machine that does not stop", async () => {
    const world = new World();
    await world.run(MINUTE);
    world.cloud.neverStops = true;
    world.setPower("off");
    await world.run(2 * MINUTE);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "FallingAsleep" });
  });

  it("is said: a machine that is to replace another one and cannot be seen", async () => {
    const world = await asleep();
    publish(world);
    world.edit(({ metadata }) => {
      metadata.annotations = { [Annotation.updateNow]: "true" };
    });
    world.cloud.unseen.byID.add("i-3");
    await world.run(MINUTE);
    world.setPower("on");
    await world.run(MINUTE);
    const { power, replacement } = world.satellite().status;
    expect(power.state).to.equal("Updating");
    expect(world.condition("Ready")).to.include({ status: "False", reason: "MachineNotVisible" });
    expect(world.condition("Ready")?.message).to.include(
      `does not show machine ${replacement?.machine?.id ?? "?"}`,
    );
  });

  it("is said no more when it is over", async () => {
    const world = new World();
    world.answers = () => false;
    await world.run(2 * MINUTE);
    world.answers = () => true;
    await world.run(MINUTE);
    expect(world.condition("Ready")).to.include({ status: "True", reason: "Running" });
  });
});

describe("a machine without a private IPv4 address", () => {
  function addressless(): World {
    const world = new World();
    world.cloud.withoutAddress = true;
    return world;
  }

  it("is said at once to be of no use, with what to do", async () => {
    const world = addressless();
    await world.run(5000);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "NoIPv4Address" });
    expect(world.condition("Ready")?.message).to.include("IPv6").and.include("i-1");
  });

  it("costs few descriptions, however long that lasts", async () => {
    const world = addressless();
    await world.run(60 * MINUTE);
    expect(world.cloud.count("describe")).to.be.at.most(600);
  });
});

describe("looks at a machine that changes state", () => {
  const since = (ageMs: number): number =>
    transitionPollMs(
      observation({
        satellite: satellite({
          status: {
            power: {
              state: "Starting",
              epoch: 1,
              accepted: true,
              fence: 0,
              since: new Date(NOW.getTime() - ageMs).toISOString(),
            },
          },
        }),
      }),
      500,
    );

  it("are frequent in the first minute, and ten seconds apart at most", () => {
    expect(since(10_000)).to.equal(500);
    expect(since(90_000)).to.equal(3000);
    expect(since(60 * MINUTE)).to.equal(10_000);
  });

  it("are what the wait for it comes to", () => {
    const observed = observation({
      satellite: satellite({
        spec: { desiredPower: "on" },
        status: {
          power: { state: "Off", epoch: 1, accepted: false, fence: 0, since: "2026-01-01T00:00:00Z" },
          machine: { id: "i-1", type: "m7i.xlarge", size: "large" },
        },
      }),
      machine: machine({ state: "stopping" }),
    });
    const action = decide(observed, defaultSettings);
    expect(action.kind === "WriteStatus" ? action.status.conditions?.[0] : undefined).to.include({
      reason: "FallingAsleep",
    });
  });
});
