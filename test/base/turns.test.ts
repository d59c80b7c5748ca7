import { expect } from "chai";
import { Turns } from "../../src/base/turns.ts";

/** Lets everything that can go on without the test do so. */
const settle = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

interface Rig {
  /** Asks for a turn for the task of that name. */
  readonly begin: (name: string) => Promise<string>;
  /** Ends that task. */
  readonly end: (name: string) => void;
  /** Names of the tasks that have begun. */
  readonly begun: string[];
}

function rig(limit: number): Rig {
  const turns = new Turns(limit);
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const begun: string[] = [];
  return {
    begun,
    begin(name) {
      const gate = Promise.withResolvers<void>();
      gates.set(name, gate);
      return turns.run(async () => {
        begun.push(name);
        await gate.promise;
        return name;
      });
    },
    end: (name) => gates.get(name)?.resolve(),
  };
}

describe("Turns", () => {
  it("let no more tasks run at a time than their limit, the others in order", async () => {
    const { begin, end, begun } = rig(2);
    const all = ["a", "b", "c", "d"].map(begin);
    await settle();
    expect(begun).to.deep.equal(["a", "b"]);
    end("b");
    await settle();
    expect(begun).to.deep.equal(["a", "b", "c"]);
    ["a", "c", "d"].forEach(end);
    expect(await Promise.all(all)).to.deep.equal(["a", "b", "c", "d"]);
  });

  it("pass on the turn of a task that fails, and what it threw", async () => {
    const turns = new Turns(1);
    const failing = turns.run(() => Promise.reject(new Error("refused")));
    const next = turns.run(() => Promise.resolve("done"));
    expect(await failing.catch(String)).to.equal("Error: refused");
    expect(await next).to.equal("done");
  });

  it("are free again when nobody waits", async () => {
    const { begin, end, begun } = rig(1);
    const first = begin("first");
    end("first");
    await first;
    const second = begin("second");
    await settle();
    expect(begun).to.deep.equal(["first", "second"]);
    end("second");
    await second;
  });

  it("are taken by groups one after the other", async () => {
    const turns = new Turns(1);
    const gate = Promise.withResolvers<void>();
    const begun: string[] = [];
    const run = (name: string, group: string, until?: Promise<void>): Promise<void> =>
      turns.run(async () => {
        begun.push(name);
        await until;
      }, group);
    const all = [run("n0", "noisy", gate.promise), run("n1", "noisy"), run("n2", "noisy"), run("q", "quiet")];
    gate.resolve();
    await Promise.all(all);
    expect(begun).to.deep.equal(["n0", "n1", "q", "n2"]);
  });
});
