import { expect } from "chai";
import * as fc from "fast-check";
import { sleep } from "../../../src/base/clock.ts";
import { Batcher, type BatcherOptions } from "../../../src/machines/ec2/batcher.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { runInTime } from "./ec2-account.ts";

class BatchError extends Error {
  readonly named: readonly string[];

  constructor(named: readonly string[]) {
    super(`named: ${named.join(" ")}`);
    this.named = named;
  }
}

interface Rig {
  readonly clock: VirtualClock;
  readonly batcher: Batcher<string>;
  /** The IDs of each request, in order. */
  readonly sent: string[][];
  /** When each was sent, in milliseconds. */
  readonly sentAtMs: number[];
}

/** A batcher over a server that takes `latencyMs` and then does what `answer` says. */
function rig(
  answer: (ids: readonly string[]) => void = () => {},
  latencyMs = 20,
  overrides: Partial<BatcherOptions<string>> = {},
): Rig {
  const clock = new VirtualClock();
  const sent: string[][] = [];
  const sentAtMs: number[] = [];
  const batcher = new Batcher<string>({
    clock,
    acquire: (wanted) => Promise.resolve(wanted()),
    send: async (ids) => {
      sent.push([...ids]);
      sentAtMs.push(clock.monotonicMs());
      await sleep(clock, latencyMs);
      answer(ids);
      return new Map(ids.map((id) => [id, `done ${id}`]));
    },
    absent: (id) => `absent ${id}`,
    blamed: (error) => (error instanceof BatchError ? error.named : []),
    isDivisible: (error) => error instanceof BatchError,
    ...overrides,
  });
  return { clock, batcher, sent, sentAtMs };
}

const idsUpTo = (count: number): string[] => Array.from({ length: count }, (_, index) => `i-${index}`);

describe("Batcher", () => {
  it("sends a single request at once after a quiet time", async () => {
    const { clock, batcher, sentAtMs } = rig();
    await runInTime(clock, batcher.submit("a"));
    await clock.advance(10_000);
    await runInTime(clock, batcher.submit("b"));
    expect(sentAtMs).to.deep.equal([0, 10_020]);
  });

  it("sends what is asked for together in one request", async () => {
    const { clock, batcher, sent } = rig();
    const results = await runInTime(clock, Promise.all(["a", "b", "c"].map((id) => batcher.submit(id))));
    expect(results).to.deep.equal(["done a", "done b", "done c"]);
    expect(sent).to.deep.equal([["a", "b", "c"]]);
  });

  it("gathers what follows for 100 ms of quiet", async () => {
    const { clock, batcher, sent, sentAtMs } = rig();
    const all = [batcher.submit("a")];
    for (const id of ["b", "c", "d"]) {
      await clock.advance(50);
      all.push(batcher.submit(id));
    }
    await runInTime(clock, Promise.all(all));
    expect(sent).to.deep.equal([["a"], ["b", "c", "d"]]);
    expect(sentAtMs).to.deep.equal([0, 250]);
  });

  it("keeps nobody longer than a second, however many keep coming", async () => {
    const { clock, batcher, sent, sentAtMs } = rig();
    const all = [batcher.submit("first")];
    for (const id of idsUpTo(60)) {
      await clock.advance(50);
      all.push(batcher.submit(id));
    }
    await runInTime(clock, Promise.all(all));
    const gapsMs = sentAtMs.slice(1).map((atMs, index) => atMs - (sentAtMs[index] ?? 0));
    expect(Math.max(...gapsMs)).to.be.at.most(1_050);
    expect(sent.length).to.be.at.most(5);
  });

  describe("whose window grows", () => {
    const window = { idleMs: 100, maxMs: 2_000, maxItems: 500, growth: 16 };

    /** Submits one after the other, so many milliseconds apart; returns the batches' sizes. */
    async function trickle(count: number, apartMs: number): Promise<number[]> {
      const { clock, batcher, sent } = rig(() => {}, 20, { window });
      const all: Promise<string>[] = [];
      for (const id of idsUpTo(count)) {
        all.push(batcher.submit(id));
        await clock.advance(apartMs);
      }
      await runInTime(clock, Promise.all(all));
      return sent.map((ids) => ids.length);
    }

    it("needs few requests for a thousand that trickle in over twenty seconds", async () => {
      const sizes = await trickle(1_000, 20);
      expect(sizes.reduce((sum, size) => sum + size)).to.equal(1_000);
      expect(sizes.length).to.be.at.most(12);
    });

    it("gathers also what comes more slowly than the window is idle", async () => {
      expect(await trickle(60, 500)).to.have.length.at.most(20);
    });

    it("keeps nobody for longer than two seconds", async () => {
      const { clock, batcher, sentAtMs } = rig(() => {}, 20, { window });
      const all: Promise<string>[] = [];
      for (const id of idsUpTo(400)) {
        all.push(batcher.submit(id));
        await clock.advance(50);
      }
      await runInTime(clock, Promise.all(all));
      const gapsMs = sentAtMs.slice(1).map((atMs, index) => atMs - (sentAtMs[index] ?? 0));
      expect(Math.max(...gapsMs)).to.be.at.most(2_050);
    });

    it("sends at once again after a quiet time", async () => {
      const { clock, batcher, sentAtMs } = rig(() => {}, 20, { window });
      for (const id of idsUpTo(40)) {
        void batcher.submit(id);
        await clock.advance(50);
      }
      await clock.advance(6_000);
      const startMs = clock.monotonicMs();
      await runInTime(clock, batcher.submit("late"));
      await clock.advance(200);
      await runInTime(clock, batcher.submit("later"));
      expect(sentAtMs.slice(-2).map((atMs) => atMs - startMs)).to.deep.equal([0, 220]);
    });
  });

  it("puts at most 500 into a request", async () => {
    const { clock, batcher, sent } = rig();
    await runInTime(clock, Promise.all(idsUpTo(1_200).map((id) => batcher.submit(id))));
    expect(sent.map((ids) => ids.length)).to.deep.equal([500, 500, 200]);
  });

  it("joins callers for one ID, also while its request is under way", async () => {
    const { clock, batcher, sent } = rig();
    const early = Array.from({ length: 25 }, () => batcher.submit("a"));
    await clock.advance(10);
    const late = Array.from({ length: 25 }, () => batcher.submit("a"));
    await runInTime(clock, Promise.all([...early, ...late]));
    expect(sent).to.deep.equal([["a"]]);
  });

  it("does not join a request that is too old for the caller", async () => {
    const { clock, batcher, sent } = rig(() => {}, 500);
    const early = batcher.submit("a", 0);
    await clock.advance(10);
    const late = batcher.submit("a", 5);
    await runInTime(clock, Promise.all([early, late]));
    expect(sent).to.deep.equal([["a"], ["a"]]);
  });

  it("lets those that wait for a token go out together", async () => {
    const clock = new VirtualClock();
    const gate = Promise.withResolvers<void>();
    const { batcher, sent } = rig(() => {}, 20, {
      clock,
      acquire: async (wanted) => {
        await gate.promise;
        return wanted();
      },
    });
    const all = [batcher.submit("a")];
    await clock.advance(700);
    all.push(batcher.submit("b"), batcher.submit("c"));
    await clock.advance(700);
    gate.resolve();
    await clock.settle();
    expect(sent).to.deep.equal([["a", "b", "c"]]);
    expect(all).to.have.length(3);
  });

  it("drops those that the error names and sends the others again", async () => {
    const { clock, batcher, sent } = rig((ids) => {
      if (ids.includes("i-3")) {
        throw new BatchError(["i-3"]);
      }
    });
    const outcomes = await runInTime(clock, Promise.allSettled(idsUpTo(6).map((id) => batcher.submit(id))));
    expect(outcomes.map(({ status }) => status === "rejected")).to.deep.equal([
      false,
      false,
      false,
      true,
      false,
      false,
    ]);
    expect(sent.map((ids) => ids.length)).to.deep.equal([6, 5]);
  });

  it("rejects all of a request that no part of could succeed", async () => {
    const { clock, batcher, sent } = rig(() => {
      throw new TypeError("no connection");
    });
    const outcomes = await runInTime(clock, Promise.allSettled(idsUpTo(4).map((id) => batcher.submit(id))));
    expect(outcomes.every(({ status }) => status === "rejected")).to.equal(true);
    expect(sent).to.have.length(1);
  });

  it("finds unnamed culprits by halving: they alone fail, in about 2·k·log2(n) requests", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 300 }).chain((count) =>
          fc.record({
            count: fc.constant(count),
            bad: fc.uniqueArray(fc.integer({ min: 0, max: count - 1 }), { maxLength: 4 }),
            named: fc.boolean(),
          }),
        ),
        async ({ count, bad, named }) => {
          const culprits = new Set(bad.map((index) => `i-${index}`));
          const { clock, batcher, sent } = rig((ids) => {
            const found = ids.filter((id) => culprits.has(id));
            if (found.length > 0) {
              throw new BatchError(named ? found.slice(0, 1) : []);
            }
          });
          const ids = idsUpTo(count);
          const outcomes = await runInTime(clock, Promise.allSettled(ids.map((id) => batcher.submit(id))));
          const failed = ids.filter((_, index) => outcomes[index]?.status === "rejected");
          expect(new Set(failed)).to.deep.equal(culprits);
          const bound = named ? 1 + culprits.size : 1 + 2 * culprits.size * Math.ceil(Math.log2(count + 1));
          expect(sent.length).to.be.at.most(bound);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("settles every caller exactly once, whenever they come and however slow the server is", async () => {
    const arrivals = fc.array(
      fc.record({ afterMs: fc.integer({ min: 0, max: 400 }), id: fc.integer({ min: 0, max: 20 }) }),
      { minLength: 1, maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(arrivals, fc.integer({ min: 1, max: 3_000 }), async (plan, latencyMs) => {
        const { clock, batcher, sent } = rig(() => {}, latencyMs);
        const all: Promise<string>[] = [];
        for (const { afterMs, id } of plan) {
          await clock.advance(afterMs);
          all.push(batcher.submit(`i-${id}`));
        }
        const results = await runInTime(clock, Promise.all(all));
        expect(results).to.deep.equal(plan.map(({ id }) => `done i-${id}`));
        expect(sent.every((ids) => new Set(ids).size === ids.length)).to.equal(true);
        expect(clock.pendingTimers).to.equal(0);
      }),
      { numRuns: 60 },
    );
  });

  describe("of several tenants", () => {
    const tenantOf = (id: string): string => id.split("-")[0] ?? "";
    const noisy = (count: number): string[] => Array.from({ length: count }, (_, index) => `noisy-${index}`);

    it("lets them take turns where not all fit into a request", async () => {
      const acquire = (): Promise<number> => Promise.resolve(4);
      const { clock, batcher, sent } = rig(() => {}, 20, { tenantOf, acquire });
      await runInTime(clock, Promise.all([...noisy(10), "quiet-a"].map((id) => batcher.submit(id))));
      expect(sent[0]).to.deep.equal(["noisy-0", "quiet-a", "noisy-1", "noisy-2"]);
    });

    it("parts the one with most from the others first when a request is refused without a name", async () => {
      const { clock, batcher, sent } = rig(
        (ids) => {
          if (ids.includes("noisy-77")) {
            throw new BatchError([]);
          }
        },
        20,
        { tenantOf },
      );
      const all = Promise.allSettled([...noisy(100), "quiet-a", "other-b"].map((id) => batcher.submit(id)));
      await runInTime(clock, all);
      expect(sent[1]).to.deep.equal(["quiet-a", "other-b"]);
    });

    it("does not make whoever comes anew wait as long as those who keep coming", async () => {
      const window = { idleMs: 100, maxMs: 2000, maxItems: 500, growth: 16 };
      const { clock, batcher, sent, sentAtMs } = rig(() => {}, 20, { tenantOf, window });
      for (let index = 0; index < 120; index++) {
        void batcher.submit(`noisy-${index}`);
        await clock.advance(150);
      }
      const cameAtMs = clock.monotonicMs();
      void batcher.submit("quiet-a");
      for (let index = 120; index < 160; index++) {
        void batcher.submit(`noisy-${index}`);
        await clock.advance(50);
      }
      const request = sent.findIndex((ids) => ids.includes("quiet-a"));
      expect((sentAtMs[request] ?? Infinity) - cameAtMs).to.be.within(0, 100);
      expect(sent.length).to.be.below(30);
    });
  });
});
