import { expect } from "chai";
import * as fc from "fast-check";
import { Registry } from "@prometheus-io/client";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { WorkQueue } from "../../src/kube/work-queue.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

interface Harness {
  readonly clock: VirtualClock;
  readonly registry: Registry;
  readonly queue: WorkQueue;
}

function harness(options: { readonly workers?: number } = {}): Harness {
  const clock = new VirtualClock();
  const registry = new Registry();
  const queue = new WorkQueue({
    name: "satellite",
    clock,
    random: () => 0,
    metrics: createKubeMetrics(registry),
    ...options,
  });
  return { clock, registry, queue };
}

/** Lets everything that can go on without the test do so. */
const settled = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

describe("WorkQueue", () => {
  it("hands keys out in the order they were added", async () => {
    const { queue } = harness();
    for (const key of ["b", "a", "c"]) {
      queue.add(key);
    }
    expect([await queue.get(), await queue.get(), await queue.get()]).to.deep.equal(["b", "a", "c"]);
  });

  it("lets namespaces take turns, and takes urgent keys first", async () => {
    const { queue } = harness();
    ["noisy/1", "noisy/2", "noisy/3", "quiet/a"].forEach((key) => queue.add(key));
    queue.add("noisy/low", "low");
    queue.add("noisy/4", "high");
    queue.add("noisy/3", "high");
    queue.add("noisy/3", "low");
    const keys = await Promise.all(Array.from({ length: 6 }, () => queue.get()));
    expect(keys).to.deep.equal(["noisy/4", "noisy/3", "noisy/1", "quiet/a", "noisy/2", "noisy/low"]);
  });

  it("keeps a worker free for whoever comes, however many keys of one namespace wait", async () => {
    const { queue } = harness({ workers: 8 });
    const taken: (string | undefined)[] = [];
    for (let worker = 0; worker < 8; worker++) {
      void queue.get().then((key) => taken.push(key));
    }
    for (let index = 0; index < 20; index++) {
      queue.add(`noisy/${index}`);
    }
    await settled();
    expect(taken).to.have.length(6);
    queue.add("quiet/a");
    await settled();
    expect(taken.at(-1)).to.equal("quiet/a");
    queue.done("quiet/a");
    queue.done("noisy/0");
    await settled();
    expect(taken).to.have.length(8);
    expect(taken.at(-1)).to.equal("noisy/6");
  });

  it("gives all that is left to the workers when it shuts down, whosever it is", async () => {
    const { queue } = harness({ workers: 1 });
    queue.add("noisy/1");
    queue.add("noisy/2");
    queue.add("noisy/3");
    queue.shutDown();
    const keys = await Promise.all(Array.from({ length: 4 }, () => queue.get()));
    expect(keys).to.deep.equal(["noisy/1", "noisy/2", "noisy/3", undefined]);
  });

  it("keeps a key once, however often it is added", async () => {
    const { queue } = harness();
    queue.add("a");
    queue.add("a");
    expect(queue.length).to.equal(1);
    await queue.get();
    expect(queue.length).to.equal(0);
  });

  it("gives a key to one worker at a time, and again when it was added meanwhile", async () => {
    const { queue } = harness();
    queue.add("a");
    expect(await queue.get()).to.equal("a");
    queue.add("a");
    queue.add("a");
    expect(queue.length).to.equal(0);
    queue.done("a");
    expect(queue.length).to.equal(1);
    expect(await queue.get()).to.equal("a");
    queue.done("a");
    expect(queue.length).to.equal(0);
  });

  it("lets workers wait, first come first served", async () => {
    const { queue } = harness();
    const taken = [queue.get(), queue.get()];
    queue.add("a");
    queue.add("b");
    expect(await Promise.all(taken)).to.deep.equal(["a", "b"]);
  });

  it("takes low keys last, unless they become urgent", async () => {
    const { queue } = harness();
    queue.add("low-1", "low");
    queue.add("low-2", "low");
    queue.add("wake");
    queue.add("low-2");
    expect([await queue.get(), await queue.get(), await queue.get()]).to.deep.equal([
      "wake",
      "low-2",
      "low-1",
    ]);
  });

  it("adds a key later, at the earlier of two times", async () => {
    const { clock, queue } = harness();
    queue.addAfter("a", 100);
    queue.addAfter("a", 50);
    queue.addAfter("a", 200);
    await clock.advance(49);
    expect(queue.length).to.equal(0);
    await clock.advance(1);
    expect(queue.length).to.equal(1);
    await queue.get();
    queue.done("a");
    await clock.advance(1_000);
    expect(queue.length).to.equal(0);
  });

  it("adds a key at once when the delay is not positive", () => {
    const { queue } = harness();
    queue.addAfter("a", 0);
    queue.addAfter("b", -5);
    expect(queue.length).to.equal(2);
  });

  it("backs off for each key on its own: 5 ms doubling up to 1000 s, until forgotten", async () => {
    const { clock, queue } = harness();
    const delays: number[] = [];
    for (let failure = 0; failure < 20; failure++) {
      queue.addRateLimited("a");
      const due = clock.nextDueMs()!;
      delays.push(due - clock.monotonicMs());
      await clock.advance(due - clock.monotonicMs());
      queue.done((await queue.get())!);
    }
    expect(delays.slice(0, 5)).to.deep.equal([5, 10, 20, 40, 80]);
    expect(delays.at(-1)).to.equal(1_000_000);
    expect(queue.failures("a")).to.equal(20);
    queue.addRateLimited("b");
    expect(clock.nextDueMs()! - clock.monotonicMs()).to.equal(5);
    queue.forget("a");
    expect(queue.failures("a")).to.equal(0);
  });

  it("hands out what waits after shutDown, then ends its workers", async () => {
    const { clock, queue } = harness();
    queue.add("a");
    expect(await queue.get()).to.equal("a");
    queue.add("a");
    queue.add("b");
    queue.addAfter("later", 10);
    const waiting = [queue.get(), queue.get()];
    queue.shutDown();
    queue.add("c");
    queue.addAfter("d", 10);
    await clock.advance(100);
    expect(await Promise.all(waiting)).to.deep.equal(["b", undefined]);
    queue.done("a");
    expect(await queue.get()).to.equal("a");
    expect(await queue.get()).to.equal(undefined);
    expect(clock.pendingTimers).to.equal(0);
  });

  it("shows client-go's metrics", async () => {
    const { clock, queue, registry } = harness();
    queue.add("a");
    queue.add("b");
    queue.addRateLimited("c");
    await clock.advance(2_000);
    await queue.get();
    await clock.advance(3_000);
    await queue.get();
    await clock.advance(1_000);
    const running = await registry.metrics();
    for (const line of [
      'workqueue_depth{name="satellite"} 1',
      'workqueue_adds_total{name="satellite"} 3',
      'workqueue_retries_total{name="satellite"} 1',
      'workqueue_queue_duration_seconds_sum{name="satellite"} 7',
      'workqueue_unfinished_work_seconds{name="satellite"} 5',
      'workqueue_longest_running_processor_seconds{name="satellite"} 4',
    ]) {
      expect(running).to.contain(line);
    }
    queue.done("a");
    queue.done("b");
    const idle = await registry.metrics();
    for (const line of [
      'workqueue_work_duration_seconds_sum{name="satellite"} 5',
      'workqueue_unfinished_work_seconds{name="satellite"} 0',
      'workqueue_longest_running_processor_seconds{name="satellite"} 0',
    ]) {
      expect(idle).to.contain(line);
    }
  });

  describe("against a model", () => {
    /** client-go's two sets and a list, written down plainly. */
    class Model {
      readonly waiting: string[] = [];
      readonly processing = new Set<string>();
      readonly again = new Set<string>();
      readonly delayed = new Map<string, number>();

      add(key: string): void {
        if (this.processing.has(key)) {
          this.again.add(key);
        } else if (!this.waiting.includes(key)) {
          this.waiting.push(key);
        }
      }

      advance(fromMs: number, toMs: number): void {
        for (let nowMs = fromMs + 1; nowMs <= toMs; nowMs++) {
          for (const [key, dueMs] of this.delayed) {
            if (dueMs === nowMs) {
              this.delayed.delete(key);
              this.add(key);
            }
          }
        }
      }

      done(key: string): void {
        this.processing.delete(key);
        if (this.again.delete(key)) {
          this.waiting.push(key);
        }
      }
    }

    const key = fc.constantFrom("a", "b", "c", "d");
    const command = (
      name: string,
      check: (model: Model) => boolean,
      run: (model: Model, real: Harness) => Promise<void> | void,
    ): fc.AsyncCommand<Model, Harness> => ({
      check,
      async run(model, real) {
        await run(model, real);
        expect(real.queue.length).to.equal(model.waiting.length);
      },
      toString: () => name,
    });

    const commands = [
      key.map((k) =>
        command(
          `add(${k})`,
          () => true,
          (model, { queue }) => {
            model.add(k);
            queue.add(k);
          },
        ),
      ),
      fc.tuple(key, fc.integer({ min: 1, max: 8 })).map(([k, delayMs]) =>
        command(
          `addAfter(${k}, ${delayMs})`,
          () => true,
          (model, { clock, queue }) => {
            const dueMs = clock.monotonicMs() + delayMs;
            // Set anew only when earlier, which also moves it behind others that are due at that time.
            if (dueMs < (model.delayed.get(k) ?? Infinity)) {
              model.delayed.delete(k);
              model.delayed.set(k, dueMs);
            }
            queue.addAfter(k, delayMs);
          },
        ),
      ),
      fc.integer({ min: 1, max: 10 }).map((ms) =>
        command(
          `advance(${ms})`,
          () => true,
          async (model, { clock }) => {
            model.advance(clock.monotonicMs(), clock.monotonicMs() + ms);
            await clock.advance(ms);
          },
        ),
      ),
      fc.constant(
        command(
          "get",
          (model) => model.waiting.length > 0,
          async (model, { queue }) => {
            const expected = model.waiting.shift()!;
            model.processing.add(expected);
            expect(await queue.get()).to.equal(expected);
          },
        ),
      ),
      fc.nat().map((choice) =>
        command(
          "done",
          (model) => model.processing.size > 0,
          (model, { queue }) => {
            const held = [...model.processing];
            const k = held[choice % held.length]!;
            model.done(k);
            queue.done(k);
          },
        ),
      ),
    ];

    it("behaves like it for any sequence of calls", async () => {
      await fc.assert(
        fc.asyncProperty(fc.commands(commands, { maxCommands: 60 }), async (sequence) => {
          await fc.asyncModelRun(() => ({ model: new Model(), real: harness() }), sequence);
        }),
        { numRuns: 300 },
      );
    });
  });
});
