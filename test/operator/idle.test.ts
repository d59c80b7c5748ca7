import { expect } from "chai";
import { IdleTracker } from "../../src/operator/idle.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { satellite } from "./fixtures.ts";

const KEY = "team-a/ada";
const MINUTE = 60_000;

function running(change: (value: Satellite) => void = () => {}): Satellite {
  const value = structuredClone(
    satellite({
      spec: { idleTimeout: "10m" },
      status: { power: { state: "Running", epoch: 1, accepted: true, fence: 0 } },
    }),
  );
  change(value);
  return value;
}

function leased(seq: number, validSeconds = 600): Satellite {
  return running(({ status }) => {
    status.activity["router-0"] = { seq, validSeconds, openStreams: 1, time: "2026-01-01T00:00:00Z" };
  });
}

describe("the idle tracker", () => {
  let clock: VirtualClock;
  let tracker: IdleTracker;
  /** What a tracker says of a satellite that it sees as it is now. */
  const seenBy = (by: IdleTracker, value: Satellite): ReturnType<IdleTracker["idleness"]> => {
    by.observe(KEY, value);
    return by.idleness(KEY, value);
  };
  const remaining = (value: Satellite): number => seenBy(tracker, value).remainingMs;

  beforeEach(() => {
    clock = new VirtualClock();
    tracker = new IdleTracker(clock);
    tracker.observe(KEY, running());
  });

  it("counts idleTimeout down from when it first saw the satellite", async () => {
    await clock.advance(4 * MINUTE);
    expect(remaining(running())).to.equal(6 * MINUTE);
    await clock.advance(6 * MINUTE);
    expect(remaining(running())).to.equal(0);
  });

  it("starts anew when a router's seq changes, and not when it is seen again", async () => {
    await clock.advance(4 * MINUTE);
    tracker.observe(KEY, leased(1));
    await clock.advance(4 * MINUTE);
    expect(remaining(leased(1))).to.equal(6 * MINUTE);
    expect(remaining(leased(2))).to.equal(10 * MINUTE);
  });

  it("starts anew when a router withdraws its lease: it was used until then", async () => {
    tracker.observe(KEY, leased(1));
    await clock.advance(4 * MINUTE);
    tracker.observe(KEY, running());
    await clock.advance(1 * MINUTE);
    expect(remaining(running())).to.equal(9 * MINUTE);
  });

  it("goes on when the lease of a router goes that had lapsed", async () => {
    await clock.advance(1 * MINUTE);
    tracker.observe(KEY, leased(1, 60));
    await clock.advance(4 * MINUTE);
    expect(remaining(running())).to.equal(6 * MINUTE);
  });

  it("counts no lease that was withdrawn as live", () => {
    tracker.observe(KEY, leased(1));
    expect(seenBy(tracker, running()).liveLeases).to.deep.equal([]);
  });

  it("is asked without being told anything: the question changes no answer", async () => {
    await clock.advance(4 * MINUTE);
    tracker.idleness(KEY, leased(1));
    await clock.advance(1 * MINUTE);
    expect(remaining(running())).to.equal(5 * MINUTE);
  });

  it("waits for a lease that lasts longer than idleTimeout", () => {
    expect(remaining(leased(1, 1800))).to.equal(30 * MINUTE);
  });

  it("starts anew when the spec changes, also when it changed back", async () => {
    await clock.advance(4 * MINUTE);
    const changed = running(({ metadata }) => {
      metadata.generation = 3;
    });
    expect(remaining(changed)).to.equal(10 * MINUTE);
  });

  it("starts anew at entry to Running", async () => {
    tracker.observe(
      KEY,
      running(({ status }) => {
        status.power.state = "Starting";
      }),
    );
    await clock.advance(4 * MINUTE);
    expect(remaining(running())).to.equal(10 * MINUTE);
  });

  it("starts anew for another satellite of the same name", async () => {
    await clock.advance(4 * MINUTE);
    const other = running(({ metadata }) => {
      metadata.uid = "uid-other";
    });
    expect(remaining(other)).to.equal(10 * MINUTE);
  });

  it("never ends where idleTimeout is 0", async () => {
    await clock.advance(1000 * MINUTE);
    const never = running(({ spec }) => {
      spec.idleTimeout = "0s";
    });
    expect(remaining(never)).to.equal(Infinity);
  });

  it("keeps it awake until the time of the annotation", async () => {
    await clock.advance(11 * MINUTE);
    const kept = running(({ metadata }) => {
      metadata.annotations = { "satellites.dev/keep-awake-until": "2026-01-01T00:31:00Z" };
    });
    expect(remaining(kept)).to.equal(20 * MINUTE);
  });

  it("lets leases age, but not those that were live when the drain began", async () => {
    tracker.observe(KEY, leased(1));
    const draining = leased(1);
    draining.status.power = { state: "Stopping", reason: "Draining", epoch: 1, accepted: false, fence: 0 };
    await clock.advance(9 * MINUTE);
    tracker.observe(KEY, draining);
    await clock.advance(5 * MINUTE);
    expect(seenBy(tracker, draining).liveLeases).to.have.length(1);
    expect(seenBy(new IdleTracker(clock), leased(1)).liveLeases).to.have.length(1);
    expect(seenBy(tracker, leased(1)).liveLeases).to.deep.equal([]);
  });

  describe("entries of routers that are gone", () => {
    const DAY = 24 * 60 * MINUTE;
    /** As many entries, whose leases of ten minutes were written so long before now. */
    const entries = (count: number, writtenMsAgo: number, change: (value: Satellite) => void = () => {}) =>
      running((value) => {
        for (let index = 0; index < count; index++) {
          const time = new Date(clock.now().getTime() - writtenMsAgo).toISOString();
          value.status.activity[`router-${index}`] = { seq: 1, validSeconds: 600, openStreams: 0, time };
        }
        change(value);
      });
    const asleep = ({ status }: Satellite): void => {
      status.power = { state: "Off", epoch: 1, accepted: false, fence: 0 };
    };
    /** How many an operator names that sees them for the first time. */
    const atOnce = (value: Satellite): number => seenBy(new IdleTracker(clock), value).staleRouters.length;
    const stale = (value: Satellite): number => seenBy(tracker, value).staleRouters.length;

    it("are named by what they say themselves, also by an operator that has just begun", () => {
      expect(atOnce(entries(64, DAY + 11 * MINUTE))).to.equal(64);
      expect(atOnce(entries(64, DAY + 10 * MINUTE))).to.equal(0);
    });

    it("are named after ten minutes where they are many and it is off, so that nothing is admitted under them", () => {
      expect(atOnce(entries(64, 21 * MINUTE, asleep))).to.equal(64);
      expect(atOnce(entries(64, 20 * MINUTE, asleep))).to.equal(0);
      expect(atOnce(entries(32, 21 * MINUTE, asleep))).to.equal(0);
    });

    it("are not named, however many, while this process has not seen their leases end", async () => {
      tracker = new IdleTracker(clock);
      const many = entries(64, 21 * MINUTE);
      expect(stale(many)).to.equal(0);
      await clock.advance(10 * MINUTE - 1);
      expect(stale(many)).to.equal(0);
      await clock.advance(1);
      expect(stale(many)).to.equal(64);
    });

    it("are not named while it stops: they are waited for, or may have to drain", () => {
      const stopping = entries(64, 30 * DAY, ({ status }) => {
        status.power = { state: "Stopping", reason: "Draining", epoch: 1, accepted: false, fence: 0 };
      });
      expect(stale(stopping)).to.equal(0);
    });

    it("are named a day after this process saw them end, whatever their clock says", async () => {
      const ahead = entries(1, -365 * DAY);
      expect(stale(ahead)).to.equal(0);
      await clock.advance(DAY + 10 * MINUTE);
      expect(stale(ahead)).to.equal(0);
      await clock.advance(1);
      expect(stale(ahead)).to.equal(1);
    });

    it("restart the idle clock when they go while their lease lives, and not otherwise", async () => {
      const behind = entries(1, 2 * DAY);
      const pruned = structuredClone(behind);
      pruned.status.activity = {};
      await clock.advance(5 * MINUTE);
      tracker.observe(KEY, behind);
      await clock.advance(5 * MINUTE);
      expect(remaining(pruned)).to.equal(10 * MINUTE);
      tracker.observe(KEY, behind);
      await clock.advance(12 * MINUTE);
      expect(remaining(pruned)).to.equal(0);
    });
  });
});
