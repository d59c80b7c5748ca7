import { expect } from "chai";
import { since } from "../../../src/cli/savings/statement.ts";
import { accountOf, type PriceOf, priceBook, summarize, total } from "../../../src/cli/savings/usage.ts";
import type { Satellite, SatelliteClass } from "../../../src/satellite/types.ts";
import { awake, power, satellite } from "../../router/satellites.ts";

const NOW = new Date("2026-03-01T12:00:00Z");
const machine = { id: "i-1", type: "t3.small" };
const usage = { runningSeconds: 3600, asleepSeconds: 7200, wakes: 3 };
const LIST = priceBook(new Map([["t3.small", 0.5]]), []);
const usd = (amount: number): object => ({ currency: "USD", amount });

const accounts = (...satellites: Satellite[]): ReturnType<typeof accountOf>[] =>
  satellites.map((each) => accountOf(each, NOW));

describe("what sleeping saves", () => {
  it("counts the stretch that goes on now, awake or asleep", () => {
    const running = awake({
      status: { machine, usage, power: power("Running", { since: "2026-03-01T10:00:00Z" }) },
    });
    const sleeping = satellite({
      name: "bob",
      status: { machine, usage, sleep: { kind: "Hibernated", since: "2026-03-01T08:00:00Z" } },
    });
    expect(summarize(accounts(running, sleeping), LIST, "satellite")).to.deep.equal([
      { name: "team-a/bob", awakeHours: 1, asleepHours: 6, wakes: 3, paid: usd(0.5), saved: usd(3) },
      { name: "team-a/ada", awakeHours: 3, asleepHours: 2, wakes: 3, paid: usd(1.5), saved: usd(1) },
    ]);
  });

  it("sums by namespace and class, and leaves out of the money what has no price", () => {
    const priced = satellite({ status: { machine, usage } });
    const other = satellite({
      namespace: "team-b",
      status: { machine: { id: "i-2", type: "x9.huge" }, usage },
    });
    const rows = summarize(accounts(priced, other), LIST, "namespace");
    expect(rows.map(({ name, saved }) => [name, saved])).to.deep.equal([
      ["team-a", usd(1)],
      ["team-b", undefined],
    ]);
    expect(summarize(accounts(priced, other), LIST, "class")).to.have.length(1);
    expect(total(rows)).to.deep.include({ asleepHours: 4, saved: usd(1) });
  });

  it("goes by the prices of classes in their currency, and adds no currencies up", () => {
    const classOf = (name: string, currency: string): SatelliteClass =>
      ({
        metadata: { name },
        spec: { prices: { currency, perHour: { "t3.small": "0.25" } } },
      }) as unknown as SatelliteClass;
    const priceOf: PriceOf = priceBook(undefined, [classOf("default", "EUR"), classOf("other", "USD")]);
    const here = satellite({ status: { machine, usage } });
    const there = satellite({ name: "bob", spec: { className: "other" }, status: { machine, usage } });
    const rows = summarize(accounts(here, there), priceOf, "satellite");
    expect(rows.map(({ saved }) => saved)).to.deep.equal([{ currency: "EUR", amount: 0.5 }, usd(0.5)]);
    expect(total(rows).saved).to.equal("mixed");
  });

  it("since a statement is what was done after it; one that was made anew counts whole", () => {
    const [before, other] = accounts(
      satellite({ uid: "one", status: { machine, usage } }),
      satellite({ uid: "gone" }),
    );
    const later = { runningSeconds: 7200, asleepSeconds: 7200, wakes: 4 };
    const now = accounts(
      satellite({ uid: "one", status: { machine, usage: later } }),
      satellite({ uid: "two", name: "bob", status: { machine, usage } }),
    );
    const statement = { at: "2026-02-01T00:00:00Z", satellites: [before!, other!] };
    expect(
      since(now, statement).map(({ awakeSeconds, asleepSeconds, wakes }) => [
        awakeSeconds,
        asleepSeconds,
        wakes,
      ]),
    ).to.deep.equal([
      [3600, 0, 1],
      [3600, 7200, 3],
    ]);
  });
});
