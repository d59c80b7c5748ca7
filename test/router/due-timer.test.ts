import { expect } from "chai";

import type { Timer } from "../../src/base/clock.ts";
import { DueTimer } from "../../src/router/due-timer.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

/** A virtual clock that counts the timers that were set. */
class CountingClock extends VirtualClock {
  timersSet = 0;

  override setTimer(delayMs: number, callback: () => void): Timer {
    this.timersSet++;
    return super.setTimer(delayMs, callback);
  }
}

describe("what is due", () => {
  let clock: CountingClock;
  let calledAtMs: number[];
  let timer: DueTimer;

  beforeEach(() => {
    clock = new CountingClock();
    calledAtMs = [];
    timer = new DueTimer(clock, () => calledAtMs.push(clock.monotonicMs()));
  });

  it("is called when it is due, once", async () => {
    timer.plan(100);
    expect(timer.isPlanned).to.equal(true);
    await clock.advance(1000);
    expect(calledAtMs).to.deep.equal([100]);
    expect(timer.isPlanned).to.equal(false);
  });

  it("is called later where it was planned later meanwhile", async () => {
    timer.plan(100);
    await clock.advance(60);
    timer.plan(160);
    await clock.advance(1000);
    expect(calledAtMs).to.deep.equal([160]);
  });

  it("is called earlier where it was planned earlier meanwhile", async () => {
    timer.plan(100);
    timer.plan(40);
    await clock.advance(1000);
    expect(calledAtMs).to.deep.equal([40]);
  });

  it("is called at once where it was due in the past", async () => {
    await clock.advance(50);
    timer.plan(10);
    await clock.advance(0);
    expect(calledAtMs).to.deep.equal([50]);
  });

  it("is not called after it was given up, and may be planned anew", async () => {
    timer.plan(100);
    timer.forget();
    expect(timer.isPlanned).to.equal(false);
    await clock.advance(150);
    timer.plan(200);
    await clock.advance(1000);
    expect(calledAtMs).to.deep.equal([200]);
  });

  it("may be planned anew by what it calls", async () => {
    const again = new DueTimer(clock, () => {
      calledAtMs.push(clock.monotonicMs());
      if (calledAtMs.length < 3) {
        again.plan(clock.monotonicMs() + 10);
      }
    });
    again.plan(10);
    await clock.advance(1000);
    expect(calledAtMs).to.deep.equal([10, 20, 30]);
  });

  it("lets go of the clock when stopped", () => {
    timer.plan(100);
    timer.stop();
    expect(clock.pendingTimers).to.equal(0);
  });

  it("sets no timer for each of many plans that move on, as those of requests do", async () => {
    for (let request = 0; request < 1000; request++) {
      timer.forget();
      timer.plan(clock.monotonicMs() + 250);
      await clock.advance(0.1);
    }
    expect(calledAtMs).to.deep.equal([]);
    expect(clock.timersSet).to.equal(1);
    await clock.advance(1000);
    expect(calledAtMs).to.have.length(1);
    expect(calledAtMs[0]).to.be.closeTo(349.9, 0.001);
    expect(clock.timersSet).to.equal(2);
  });
});
