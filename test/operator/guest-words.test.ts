import { expect } from "chai";
import { satellite } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;
const FAILURE = "BuildKit cannot be installed: https://mirror.example/a.tgz has the SHA-256 1 instead of 2";

/** A satellite that is launched and whose guest never serves, since it cannot be installed. */
function failing(): World {
  const world = new World({ satellites: [satellite({ spec: { idleTimeout: "0s" } })] });
  world.answers = () => false;
  world.cloud.lastWordsOf = () => ({ text: FAILURE, isFailure: true });
  return world;
}

const announced = (world: World): string[] => world.events.map(({ reason }) => reason);

describe("a guest that says on its console what has failed", () => {
  it("is quoted in the condition soon after its port should answer, and announced once", async () => {
    const world = failing();
    await world.run(MINUTE / 2);
    expect(world.cloud.count("lastWords"), "looks at the console of a machine that has just begun").to.equal(
      0,
    );
    await world.run(MINUTE);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "GuestFailed" });
    expect(world.condition("Ready")?.message).to.contain(FAILURE).and.contain("does not answer yet");
    await world.run(3 * MINUTE);
    expect(announced(world).filter((reason) => reason === "GuestFailed")).to.have.length(1);
  });

  it("is quoted in what each step of recovery says, and when all were taken", async () => {
    const world = failing();
    await world.run(30 * MINUTE);
    const steps = world.events.filter(({ reason }) =>
      ["Rebooting", "Restarting", "Unreachable"].includes(reason),
    );
    expect(steps.map(({ reason }) => reason)).to.include.members(["Rebooting", "Unreachable"]);
    for (const { message } of steps) {
      expect(message).to.contain(FAILURE);
    }
    expect(world.condition("Healthy")?.message).to.contain(FAILURE);
    expect(world.satellite().status.phase).to.equal("Failed");
  });

  it("is quoted even if it speaks after the last step only", async () => {
    const world = failing();
    world.cloud.lastWordsOf = () => undefined;
    await world.run(60 * MINUTE);
    expect(world.condition("Ready")).to.include({ reason: "Unreachable" });
    world.cloud.lastWordsOf = () => ({ text: FAILURE, isFailure: true });
    await world.run(60 * MINUTE);
    expect(world.condition("Ready")).to.include({ reason: "Unreachable" });
    expect(world.condition("Ready")?.message).to.contain(FAILURE);
  });

  it("is not quoted any more when its port answers", async () => {
    const world = failing();
    await world.run(2 * MINUTE);
    world.answers = () => true;
    await world.run(MINUTE);
    expect(world.condition("Ready")).to.include({ status: "True", reason: "Running" });
    expect(world.satellite().status.phase).to.equal("Running");
    expect(JSON.stringify(world.satellite().status)).not.to.contain("mirror.example");
  });

  it("is asked ever more rarely, however long it is silent", async () => {
    const world = failing();
    await world.run(60 * MINUTE);
    const first = world.cloud.count("lastWords");
    expect(first).to.be.within(4, 20);
    await world.run(4 * 60 * MINUTE);
    expect(world.cloud.count("lastWords") - first).to.be.within(3, 8);
  });

  it("does not keep the port from being looked at, or the machine from being rebooted", async () => {
    const world = failing();
    world.cloud.fail("lastWords", "server", Infinity);
    await world.run(7 * MINUTE);
    expect(world.cloud.count("reboot")).to.equal(1);
    expect(world.thrown).to.deep.equal([]);
  });

  it("cannot be heard without the right to read consoles; that is said, and is no failure of the satellite", async () => {
    const world = failing();
    world.cloud.fail("lastWords", "permission", Infinity);
    await world.run(2 * MINUTE);
    expect(world.condition("Ready")).to.include({ reason: "ComingUp" });
    expect(world.condition("Ready")?.message).to.contain("Its console could not be read: NotPermitted");
    expect(world.satellite().status.phase).not.to.equal("Failed");
    world.answers = () => true;
    await world.run(MINUTE);
    expect(world.condition("Ready")).to.include({ status: "True" });
  });

  it("that says nothing of a failure is quoted beside what is to be looked at", async () => {
    const world = failing();
    world.cloud.lastWordsOf = () => ({ text: "BuildKit 1.2.3 is installed", isFailure: false });
    await world.run(2 * MINUTE);
    expect(world.condition("Ready")).to.include({ reason: "ComingUp" });
    expect(world.condition("Ready")?.message).to.contain(
      "The guest says on its console: BuildKit 1.2.3 is installed",
    );
    expect(announced(world)).not.to.contain("GuestFailed");
  });

  it("of another stretch of power is not believed", async () => {
    const world = failing();
    await world.run(2 * MINUTE);
    world.cloud.lastWordsOf = () => undefined;
    world.setPower("off");
    await world.run(2 * MINUTE);
    world.setPower("on");
    await world.run(90_000);
    expect(world.condition("Ready")?.message).not.to.contain(FAILURE);
  });

  it("is heard when a machine that has run falls silent", async () => {
    const world = failing();
    world.answers = () => true;
    await world.run(MINUTE);
    world.answers = () => false;
    await world.run(8 * MINUTE);
    expect(world.condition("Healthy")).to.include({ status: "False", reason: "Rebooting" });
    expect(world.condition("Healthy")?.message).to.contain(FAILURE);
  });
});
