import { expect } from "chai";
import * as fc from "fast-check";
import { TokenBucket, type Priority } from "../../../src/machines/ec2/token-bucket.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const LIMIT = { requests: { burst: 5, refillPerSecond: 2 } };

function bucketOn(
  clock: VirtualClock,
  limit: ConstructorParameters<typeof TokenBucket>[0] = LIMIT,
): TokenBucket {
  return new TokenBucket(limit, clock, () => 0);
}

describe("TokenBucket", () => {
  it("lets a burst through at once and the rest at the rate of refill", async () => {
    const clock = new VirtualClock();
    const bucket = bucketOn(clock);
    const atMs: number[] = [];
    for (let index = 0; index < 9; index++) {
      void bucket.take("wake", () => 1).then(() => atMs.push(clock.monotonicMs()));
    }
    await clock.advance(5_000);
    expect(atMs).to.deep.equal([0, 0, 0, 0, 0, 500, 1_000, 1_500, 2_000]);
  });

  it("serves wakes before sleeps before housekeeping, and each in order", async () => {
    const clock = new VirtualClock();
    const bucket = bucketOn(clock, { requests: { burst: 1, refillPerSecond: 1 } });
    const served: string[] = [];
    const ask = (name: string, priority: Priority): void => {
      void bucket.take(priority, () => 1).then(() => served.push(name));
    };
    ask("first", "housekeeping");
    ask("h1", "housekeeping");
    ask("s1", "sleep");
    ask("w1", "wake");
    ask("s2", "sleep");
    ask("w2", "wake");
    await clock.advance(10_000);
    expect(served).to.deep.equal(["first", "w1", "w2", "s1", "s2", "h1"]);
  });

  it("lets go of who waits for longer than they will, and gives their turn to the next", async () => {
    const clock = new VirtualClock();
    const bucket = bucketOn(clock, { requests: { burst: 1, refillPerSecond: 0.1 } });
    const got: string[] = [];
    const ask = (name: string, patienceMs?: number): void => {
      void bucket
        .take("wake", () => 1, "", patienceMs)
        .then((granted) => got.push(`${name} ${granted} at ${clock.monotonicMs()}`));
    };
    ask("first", 1);
    ask("second", 10_001);
    ask("third", 15_000);
    ask("fourth");
    await clock.advance(14_999);
    expect(got).to.deep.equal(["first 1 at 0", "second 1 at 10000"]);
    await clock.advance(30_000);
    expect(got.slice(2)).to.deep.equal(["third 0 at 15000", "fourth 1 at 20000"]);
  });

  it("lets nobody wait in vain: who has too many before them is told at once, each tenant by its own place", async () => {
    const clock = new VirtualClock();
    const bucket = bucketOn(clock, { requests: { burst: 1, refillPerSecond: 0.1 } });
    await bucket.take("wake", () => 1);
    const answers = new Map<string, number>();
    const ask = (name: string, tenant: string): void => {
      void bucket.take("wake", () => 1, tenant, 30_000).then((granted) => answers.set(name, granted));
    };
    for (const name of ["n1", "n2", "n3", "n4", "n5"]) {
      ask(name, "noisy");
    }
    ask("q1", "quiet");
    await clock.advance(0);
    expect([...answers]).to.deep.equal([["n5", 0]]);
  });

  it("lets tenants take turns within a priority: one who asks a hundred times delays another by one call", async () => {
    const clock = new VirtualClock();
    const bucket = bucketOn(clock, { requests: { burst: 1, refillPerSecond: 1 } });
    const served: string[] = [];
    const ask = (name: string, tenant: string, priority: Priority = "wake"): void => {
      void bucket.take(priority, () => 1, tenant).then(() => served.push(name));
    };
    for (let index = 0; index < 100; index++) {
      ask(`noisy ${index}`, "noisy");
    }
    ask("urgent of the noisy", "noisy", "wake");
    ask("quiet sleep", "quiet", "sleep");
    ask("quiet", "quiet");
    await clock.advance(2000);
    expect(served).to.deep.equal(["noisy 0", "noisy 1", "quiet"]);
    await clock.advance(100_000);
    expect(served.slice(-2)).to.deep.equal(["urgent of the noisy", "quiet sleep"]);
  });

  it("grants as many resources as there are tokens for", async () => {
    const clock = new VirtualClock();
    const bucket = bucketOn(clock, { ...LIMIT, resources: { burst: 1_000, refillPerSecond: 2 } });
    expect(await bucket.take("wake", () => 700)).to.equal(700);
    expect(await bucket.take("wake", () => 700)).to.equal(300);
    const third = bucket.take("wake", () => 400);
    await clock.advance(499);
    let granted = 0;
    void third.then((count) => (granted = count));
    await clock.settle();
    expect(granted).to.equal(0);
    await clock.advance(1);
    expect(granted).to.equal(1);
  });

  it("closes for a growing while when EC2 refuses, and opens again", async () => {
    const clock = new VirtualClock();
    const bucket = bucketOn(clock);
    const atMs: number[] = [];
    for (let refusals = 0; refusals < 3; refusals++) {
      bucket.refused();
      const taken = bucket.take("wake", () => 1).then(() => atMs.push(clock.monotonicMs()));
      await clock.advance(10_000);
      await taken;
    }
    expect(atMs).to.deep.equal([1_000, 12_000, 24_000]);
    bucket.admitted();
    bucket.refused();
    void bucket.take("wake", () => 1).then(() => atMs.push(clock.monotonicMs()));
    await clock.advance(1_000);
    expect(atMs.at(-1)).to.equal(31_000);
  });

  it("does not let a burst through right after a refusal", async () => {
    const clock = new VirtualClock();
    const bucket = bucketOn(clock);
    bucket.refused();
    const atMs: number[] = [];
    for (let index = 0; index < 4; index++) {
      void bucket.take("wake", () => 1).then(() => atMs.push(clock.monotonicMs()));
    }
    await clock.advance(10_000);
    expect(atMs).to.deep.equal([1_000, 1_000, 1_500, 2_000]);
  });

  it("never exceeds burst plus refill in any span of time", async () => {
    const asks = fc.array(fc.integer({ min: 0, max: 1_500 }), { minLength: 1, maxLength: 80 });
    await fc.assert(
      fc.asyncProperty(asks, async (gapsMs) => {
        const clock = new VirtualClock();
        const bucket = bucketOn(clock);
        const atMs: number[] = [];
        for (const gapMs of gapsMs) {
          await clock.advance(gapMs);
          void bucket.take("wake", () => 1).then(() => atMs.push(clock.monotonicMs()));
        }
        await clock.advance(60_000);
        expect(atMs).to.have.length(gapsMs.length);
        for (let from = 0; from < atMs.length; from++) {
          for (let to = from; to < atMs.length; to++) {
            const spanSeconds = ((atMs[to] ?? 0) - (atMs[from] ?? 0)) / 1000;
            expect(to - from + 1).to.be.at.most(5 + 2 * spanSeconds + 1e-3);
          }
        }
      }),
      { numRuns: 40 },
    );
  });
});
