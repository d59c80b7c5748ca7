import { expect } from "chai";
import type { Access } from "../../../src/router/access.ts";
import { GrpcStatus, type Admission } from "../../../src/router/engine.ts";
import { firstValue } from "../../../src/router/header-list.ts";
import { GateBench } from "../gate-bench.ts";
import { awake, satellite } from "../satellites.ts";

/** Lets everybody in under the name that they give. */
const BY_NAME: Access = {
  checkListener: () => {},
  check: ({ headers }) => ({ kind: "allow", identity: firstValue(headers, "x-name") ?? "", drop: new Set() }),
};

describe("gate with many callers", () => {
  const named = (count: number) =>
    Array.from({ length: count }, (_unused, i) => satellite({ name: `s${i}`, uid: `uid-${i}` }));

  function bench(count: number, limits: object, gate: object = {}): GateBench {
    return new GateBench([...named(count), awake()], {
      access: BY_NAME,
      gate: { ...gate, identities: limits },
    });
  }

  /** Sends a request in somebody's name; returns its answer so far. */
  function send(
    of: GateBench,
    name: string,
    to: string,
    path = "/test.Service/Call",
    namespace = "team-a",
  ): () => Admission | undefined {
    let answer: Admission | undefined;
    const admission = of.gate.admit(
      { id: 1, remoteAddress: "127.0.0.1" },
      [
        [":path", path],
        ["satellite-name", to],
        ["satellite-namespace", namespace],
        ["x-name", name],
      ],
      new AbortController().signal,
    );
    void Promise.resolve(admission).then((settled) => {
      answer = settled;
      return settled;
    });
    return () => answer;
  }

  it("lets one who wakes 1,000 satellites wake some of them, and another at once wake theirs", async () => {
    const of = bench(1_001, { wakeBurst: 100, wakesPerMinute: 60 });
    const answers = Array.from({ length: 1_000 }, (_unused, i) => send(of, "mallory", `s${i}`));
    const alices = send(of, "alice", "s1000");
    await of.clock.settle();
    expect(of.server.wakeCalls).to.have.lengthOf(101);
    expect(of.server.wakeCalls.map(({ key }) => key)).to.include("team-a/s1000");
    const refused = answers.map((answer) => answer()).filter((answer) => answer !== undefined);
    expect(refused).to.have.lengthOf(900);
    expect(
      refused.every((answer) => answer.kind === "refuse" && answer.status === GrpcStatus.RESOURCE_EXHAUSTED),
    ).to.equal(true);
    expect(alices()).to.equal(undefined);
    of.disconnect();
  });

  it("counts one wake for a thousand requests to one satellite", async () => {
    const of = bench(1, { wakeBurst: 1, wakesPerMinute: 1 });
    const answers = Array.from({ length: 1_000 }, () => send(of, "alice", "s0"));
    await of.clock.settle();
    expect(of.server.wakeCalls).to.have.lengthOf(1);
    expect(answers.every((answer) => answer() === undefined)).to.equal(true);
    of.disconnect();
  });

  it("counts nothing for satellites that are awake, or for methods that wake nothing", async () => {
    const noWakeMethods = ["/test.Service/Poll"];
    const of = bench(10, { wakeBurst: 1, wakesPerMinute: 1 }, { noWakeMethods });
    for (let i = 0; i < 10; i++) {
      send(of, "alice", "ada");
      send(of, "alice", `s${i}`, "/test.Service/Poll");
    }
    await of.clock.settle();
    expect(of.server.wakeCalls).to.have.lengthOf(0);
    send(of, "alice", "s1");
    await of.clock.settle();
    expect(of.server.wakeCalls).to.have.lengthOf(1);
    of.disconnect();
  });

  it("has a place for a quiet namespace when a noisy one holds them all", async () => {
    const of = new GateBench(
      [...named(5), satellite({ name: "quiet", namespace: "team-b", uid: "uid-quiet" })],
      {
        access: BY_NAME,
        gate: { maxHeld: 100, identities: { maxHeld: 50 } },
      },
    );
    const noisy = Array.from({ length: 1000 }, (_unused, i) => send(of, `mallory${i}`, `s${i % 5}`));
    await of.clock.settle();
    expect(await of.metric("satellites_router_held_requests")).to.equal(100);
    const victim = send(of, "alice", "quiet", "/test.Service/Call", "team-b");
    await of.clock.settle();
    expect(victim()).to.equal(undefined);
    expect(of.server.wakeCalls.map(({ key }) => key)).to.include("team-b/quiet");
    const refused = noisy.map((answer) => answer()).filter((answer) => answer !== undefined);
    expect(refused).to.have.length(901);
    of.disconnect();
  });

  it("gives the places of ended requests back", async () => {
    const of = bench(1, { maxHeld: 5 }, { maxHoldMs: 10_000 });
    const first = Array.from({ length: 6 }, () => send(of, "alice", "s0"));
    await of.clock.settle();
    expect(first.map((answer) => answer()?.kind)).to.deep.equal([...Array(5).fill(undefined), "refuse"]);
    await of.clock.advance(10_000);
    expect(first.every((answer) => answer()?.kind === "refuse")).to.equal(true);
    const second = Array.from({ length: 6 }, () => send(of, "alice", "s0"));
    await of.clock.settle();
    expect(second.map((answer) => answer()?.kind)).to.deep.equal([...Array(5).fill(undefined), "refuse"]);
    of.disconnect();
  });
});
