import { expect } from "chai";
import { fleetSummary } from "../../src/page/fleet-summary.ts";
import type { SatelliteClass } from "../../src/satellite/types.ts";
import { satelliteClass } from "../operator/fixtures.ts";
import { awake, power, satellite } from "../router/satellites.ts";

const NOW = new Date("2026-03-01T12:00:00Z");
const machine = { id: "i-1", type: "t3.small" };
const usage = { runningSeconds: 3_600, asleepSeconds: 7_200, wakes: 3 };

const priced = (): SatelliteClass => {
  const made = satelliteClass();
  const spec = {
    ...made.spec,
    prices: { currency: "USD", perHour: { "t3.small": "0.5" }, perGiBMonth: "0.1" },
  };
  return { ...made, spec, status: { diskGiB: 73 } };
};
const running = awake({
  status: { machine, usage, power: power("Running", { since: "2026-03-01T10:00:00Z" }) },
});
const sleeping = satellite({
  status: { machine, usage, sleep: { kind: "Hibernated", since: "2026-03-01T08:00:00Z" } },
});

describe("a fleet at a glance", () => {
  it("counts phases, machines, hours and wakes; the stretches that go on now too", () => {
    const summary = fleetSummary([running, sleeping, satellite()], () => undefined, NOW);
    expect(summary).to.deep.include({
      total: 3,
      awake: 1,
      asleep: 1,
      awakeHours: 4,
      asleepHours: 8,
      wakes: 6,
      money: [],
    });
    expect([...summary.byPhase]).to.deep.equal([
      ["Running", 1],
      ["Asleep", 2],
    ]);
  });

  it("tells what it costs now, what it would if none slept, and what sleep has saved", () => {
    const { money } = fleetSummary([running, sleeping], priced, NOW);
    expect(money).to.have.length(1);
    const [
      { currency, perHour, perHourAwake, saved } = { currency: "", perHour: 0, perHourAwake: 0, saved: 0 },
    ] = money;
    expect(currency).to.equal("USD");
    // One machine, and two disks of 73 GiB at 0.1 for 730 hours.
    expect(perHour).to.be.closeTo(0.5 + 0.02, 1e-9);
    expect(perHourAwake).to.be.closeTo(1 + 0.02, 1e-9);
    // 2 hours of the one and 6 of the other.
    expect(saved).to.be.closeTo(4, 1e-9);
  });

  it("is empty where there is nothing", () => {
    expect(fleetSummary([], priced, NOW)).to.deep.include({ total: 0, awake: 0, asleep: 0, money: [] });
  });
});
