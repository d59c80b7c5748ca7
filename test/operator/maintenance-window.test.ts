import { expect } from "chai";
import { satellite } from "./fixtures.ts";
import { World } from "./world.ts";
import { isInWindow } from "../../src/operator/maintenance-window.ts";

type Window = Parameters<typeof isInWindow>[0];

const open = (window: Partial<Window>, time: string): boolean =>
  isInWindow({ start: "02:00", duration: "2h", timeZone: "UTC", ...window }, new Date(time));

describe("a maintenance window", () => {
  it("is open from its start, for its duration", () => {
    expect(open({}, "2026-01-05T01:59:00Z")).to.equal(false);
    expect(open({}, "2026-01-05T02:00:00Z")).to.equal(true);
    expect(open({}, "2026-01-05T03:59:00Z")).to.equal(true);
    expect(open({}, "2026-01-05T04:00:00Z")).to.equal(false);
  });

  it("opens on its days only; the night after belongs to the day on which it opened", () => {
    const overnight = { start: "23:00", duration: "3h", days: ["Sat"] } satisfies Partial<Window>;
    expect(open(overnight, "2026-01-03T22:59:00Z")).to.equal(false);
    expect(open(overnight, "2026-01-03T23:30:00Z"), "Saturday").to.equal(true);
    expect(open(overnight, "2026-01-04T01:59:00Z"), "the night to Sunday").to.equal(true);
    expect(open(overnight, "2026-01-04T02:00:00Z")).to.equal(false);
    expect(open(overnight, "2026-01-04T23:30:00Z"), "Sunday").to.equal(false);
    expect(open(overnight, "2026-01-03T01:00:00Z"), "the night from Friday").to.equal(false);
  });

  it("in no known time zone never opens, and that is shown", async () => {
    const maintenance = { start: "00:00", duration: "24h", timeZone: "Mars/Olympus" };
    expect(open(maintenance, "2026-01-05T02:00:00Z")).to.equal(false);
    const world = new World({ satellites: [satellite({ spec: { maintenance } })] });
    await world.run(60_000);
    expect(world.condition("Updated")).to.include({ status: "False", reason: "TimeZoneUnknown" });
  });

  it("goes by the clocks of its time zone", () => {
    const inBerlin = { timeZone: "Europe/Berlin" };
    expect(open(inBerlin, "2026-01-05T01:00:00Z"), "winter").to.equal(true);
    expect(open(inBerlin, "2026-07-05T00:00:00Z"), "summer").to.equal(true);
    expect(open(inBerlin, "2026-07-05T02:30:00Z"), "summer").to.equal(false);
  });
});
