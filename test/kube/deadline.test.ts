import { expect } from "chai";
import { withDeadline } from "../../src/kube/deadline.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

describe("withDeadline", () => {
  const timeoutError = (): Error => new Error("too late");

  it("gives work up that does not heed its signal", async () => {
    const clock = new VirtualClock();
    const never = new Promise<string>(() => {});
    const result = withDeadline(clock, { timeoutMs: 100, timeoutError }, () => never).catch(String);
    await clock.advance(100);
    expect(await result).to.equal("Error: too late");
    expect(clock.pendingTimers).to.equal(0);
  });

  it("tells the caller's reason, whatever the work throws", async () => {
    const caller = new AbortController();
    const result = withDeadline(
      new VirtualClock(),
      { timeoutMs: 100, timeoutError, signal: caller.signal },
      (signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(new Error("socket closed")));
        }),
    ).catch(String);
    caller.abort(new Error("stopping"));
    expect(await result).to.equal("Error: stopping");
  });

  it("returns what the work returns, and leaves no timer", async () => {
    const clock = new VirtualClock();
    const work = (): Promise<string> => Promise.resolve("done");
    expect(await withDeadline(clock, { timeoutMs: 100, timeoutError }, work)).to.equal("done");
    expect(clock.pendingTimers).to.equal(0);
  });
});
