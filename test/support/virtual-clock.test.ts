import { expect } from "chai";
import { sleep } from "../../src/base/clock.ts";
import { VirtualClock } from "./virtual-clock.ts";

describe("VirtualClock", () => {
  it("runs timers in the order of their due times, then of their creation", async () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    clock.setTimer(20, () => seen.push(`b@${clock.monotonicMs()}`));
    clock.setTimer(10, () => seen.push(`a@${clock.monotonicMs()}`));
    clock.setTimer(20, () => seen.push(`c@${clock.monotonicMs()}`));
    await clock.advance(20);
    expect(seen).to.deep.equal(["a@10", "b@20", "c@20"]);
  });

  it("runs timers that other timers set through promises, within one advance", async () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    const loop = async (): Promise<void> => {
      for (let round = 0; round < 5; round++) {
        await sleep(clock, 10);
        seen.push(clock.monotonicMs());
      }
    };
    const finished = loop();
    await clock.advance(50);
    await finished;
    expect(seen).to.deep.equal([10, 20, 30, 40, 50]);
  });

  it("does not run cancelled timers nor those that are due later", async () => {
    const clock = new VirtualClock();
    const seen: string[] = [];
    clock.setTimer(5, () => seen.push("cancelled")).cancel();
    clock.setTimer(11, () => seen.push("later"));
    await clock.advance(10);
    expect(seen).to.deep.equal([]);
    expect(clock.pendingTimers).to.equal(1);
    expect(clock.nextDueMs()).to.equal(11);
  });

  it("leaps like a stopped process: time is gone, timers run late", async () => {
    const clock = new VirtualClock(new Date("2026-05-01T12:00:00Z"));
    const seen: number[] = [];
    clock.setTimer(10, () => seen.push(clock.monotonicMs()));
    clock.leap(60_000);
    expect(seen).to.deep.equal([]);
    expect(clock.now().toISOString()).to.equal("2026-05-01T12:01:00.000Z");
    await clock.advance(0);
    expect(seen).to.deep.equal([60_000]);
  });
});
