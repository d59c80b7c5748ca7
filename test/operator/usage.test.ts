import { expect } from "chai";
import { satellite } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** A satellite that has run for ten minutes and slept for twenty, with its clock set by `jumpMs` in the middle of both. */
async function runAndSleep(jumpMs: number): Promise<World> {
  const world = new World({ satellites: [satellite({ spec: { idleTimeout: "0s" } })] });
  await world.run(5 * MINUTE);
  world.clock.set(jumpMs);
  await world.run(5 * MINUTE);
  world.setPower("off");
  await world.run(10 * MINUTE);
  world.clock.set(jumpMs);
  await world.run(10 * MINUTE);
  world.setPower("on");
  await world.run(MINUTE);
  return world;
}

describe("usage", () => {
  for (const [what, jumpMs] of [
    ["stands still", 0],
    ["jumps by a day", DAY],
    ["jumps back by a day", -DAY],
  ] as const) {
    it(`counts the time that passed while the wall clock ${what}`, async () => {
      const { usage } = (await runAndSleep(jumpMs)).satellite().status;
      expect(usage?.runningSeconds).to.be.within(590, 610);
      expect(usage?.asleepSeconds).to.be.within(1190, 1210);
    });
  }

  it("counts what was before this process by the wall clock", async () => {
    const world = new World({ satellites: [satellite({ spec: { idleTimeout: "0s" } })] });
    await world.run(5 * MINUTE);
    world.restart();
    await world.run(5 * MINUTE);
    world.setPower("off");
    await world.run(MINUTE);
    expect(world.satellite().status.usage?.runningSeconds).to.be.within(590, 610);
  });
});
