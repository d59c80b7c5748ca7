import { expect } from "chai";
import { wakeTimes } from "../../src/operator/wake-schedule.ts";
import { satellite } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** 2026-01-05 is a Monday. */
const at = (time: string): Date => new Date(`2026-01-05T${time}Z`);

const sleeper = (since: string, wakeSchedule: string[], timeZone = "UTC"): ReturnType<typeof satellite> =>
  satellite({
    spec: {
      desiredPower: "off",
      wakeSchedule,
      maintenance: { start: "02:00", duration: "2h", timeZone },
    },
    status: { sleep: { kind: "Hibernated", since } },
  });

describe("a wake schedule", () => {
  const fromSunday = sleeper("2026-01-04T20:00:00Z", ["0 8 * * Mon-Fri"]);

  it("is due from its time on, not before", () => {
    expect(wakeTimes(fromSunday, at("07:59:59")).due).to.equal(false);
    expect(wakeTimes(fromSunday, at("08:00:00")).due).to.equal(true);
    expect(wakeTimes(fromSunday, at("08:30:00")).due).to.equal(true);
  });

  it("names the next time", () => {
    expect(wakeTimes(fromSunday, at("07:00:00")).nextMs).to.equal(at("08:00:00").getTime());
    expect(wakeTimes(satellite(), at("07:00:00"))).to.deep.equal({ due: false, nextMs: Infinity });
  });

  it("is not due again for one who was put to sleep after it", () => {
    expect(wakeTimes(sleeper("2026-01-05T08:05:00Z", ["0 8 * * *"]), at("08:06:00")).due).to.equal(false);
  });

  it("lets a time go that was missed for longer than an hour", () => {
    expect(wakeTimes(fromSunday, at("09:00:01")).due).to.equal(false);
  });

  it("is read in the time zone of the maintenance window", () => {
    const inBerlin = sleeper("2026-01-04T20:00:00Z", ["0 8 * * *"], "Europe/Berlin");
    expect(wakeTimes(inBerlin, at("07:00:00")).due).to.equal(true);
    expect(wakeTimes(inBerlin, at("06:59:00")).due).to.equal(false);
  });

  it("serves the earliest of several expressions", () => {
    const twice = sleeper("2026-01-04T20:00:00Z", ["0 12 * * *", "0 8 * * *"]);
    expect(wakeTimes(twice, at("08:00:00")).due).to.equal(true);
    expect(wakeTimes(twice, at("06:00:00")).nextMs).to.equal(at("08:00:00").getTime());
  });

  for (const wrong of ["every day", "99 8 * * *", "* * * * * *"]) {
    it(`wakes nobody by "${wrong}" and says what is wrong`, () => {
      const times = wakeTimes(sleeper("2026-01-04T20:00:00Z", [wrong]), at("08:00:00"));
      expect(times.due).to.equal(false);
      expect(times.invalid).to.include(wrong);
    });
  }

  it("wakes a sleeping satellite in time, once, and lets it sleep again when nobody comes", async () => {
    const world = new World({
      satellites: [satellite({ spec: { wakeSchedule: ["0 8 * * *"], wakePolicy: "Manual" } })],
    });
    await world.run(MINUTE);
    world.setPower("off");
    await world.run(8 * HOUR - 2 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Asleep");
    await world.run(2 * MINUTE);
    expect(world.satellite()).to.nested.include({ "spec.desiredPower": "on", "status.phase": "Running" });
    await world.run(HOUR);
    expect(world.satellite().status.phase).to.equal("Asleep");
    await world.run(12 * HOUR);
    expect(world.cloud.count("start")).to.equal(1);
  });

  it("wakes one whose time came while it was falling asleep", async () => {
    const world = new World({ satellites: [satellite({ spec: { wakeSchedule: ["30 0 * * *"] } })] });
    await world.run(30 * MINUTE - 1000);
    world.setPower("off");
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
  });

  it("launches a satellite that never had a machine", async () => {
    const world = new World({
      satellites: [satellite({ spec: { desiredPower: "off", wakeSchedule: ["30 0 * * *"] } })],
    });
    await world.run(29 * MINUTE);
    expect(world.cloud.count("launch")).to.equal(0);
    await world.run(2 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
  });

  it("that is not understood is shown on the satellite", async () => {
    const world = new World({ satellites: [satellite({ spec: { wakeSchedule: ["every day"] } })] });
    await world.run(MINUTE);
    expect(world.condition("Updated")).to.include({ status: "False", reason: "WakeScheduleInvalid" });
    expect(world.satellite().status.phase).to.equal("Running");
  });
});

describe("the annotation keep-awake-until", () => {
  it("holds off idleness until its time, and no longer", async () => {
    const annotations = { "satellites.dev/keep-awake-until": "2026-01-01T02:00:00Z" };
    const world = new World({ satellites: [satellite({ annotations })] });
    await world.run(2 * HOUR - MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    await world.run(10 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Asleep");
  });
});
