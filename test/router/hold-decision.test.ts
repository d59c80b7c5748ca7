import { expect } from "chai";
import { GrpcStatus } from "../../src/router/engine.ts";
import {
  decideHeld,
  whyNothingMoves,
  type GateDecision,
  type WaitFacts,
} from "../../src/router/hold-decision.ts";
import { refusal } from "../../src/router/refusal.ts";
import type { Standing } from "../../src/router/standing.ts";

const target = { epoch: 3, host: "10.0.0.1", port: 50_051 };
const HOPELESS: Standing = {
  kind: "hopeless",
  refusal: refusal(GrpcStatus.FAILED_PRECONDITION, "is being deleted", "Deleting"),
};
const ANY = [true, false];

function decide(
  standing: Standing | undefined,
  isReachable: boolean,
  isLeased: boolean,
  heldRequests = 1,
): GateDecision {
  return decideHeld({ key: "team-a/ada", heldRequests, standing, isReachable, isLeased });
}

describe("what held requests need", () => {
  it("is nothing where there are none, however the satellite stands", () => {
    for (const standing of [undefined, HOPELESS, { kind: "asleep" }, { kind: "awake", target }] as const) {
      expect(decide(standing, true, true, 0)).to.deep.equal({ kind: "rest" });
    }
  });

  it("is a refusal where no waiting helps", () => {
    expect(decide(undefined, false, false)).to.have.property("kind", "refuse");
    expect(decide(HOPELESS, false, false)).to.deep.equal({ kind: "refuse", refusal: HOPELESS.refusal });
  });

  it("is a wake where the satellite is asleep, and patience where the operator moves it", () => {
    expect(decide({ kind: "asleep" }, false, false)).to.deep.equal({ kind: "wake" });
    expect(decide({ kind: "moving" }, false, false)).to.deep.equal({ kind: "wait" });
  });

  for (const kind of ["awake", "starting"] as const) {
    it(`is to go where it is ${kind}, its VM takes requests and the lease is live`, () => {
      expect(decide({ kind, target }, true, true)).to.deep.equal({ kind: "release", target });
    });

    it(`is a lease where it is ${kind} and no more than the lease is missing`, () => {
      expect(decide({ kind, target }, true, false)).to.deep.equal({ kind: "lease" });
    });

    it(`is a probe where it is ${kind} and its VM must answer first, with the lease where that is missing`, () => {
      for (const isLeased of ANY) {
        expect(decide({ kind, target }, false, isLeased)).to.deep.equal({
          kind: "probe",
          target,
          needsLease: !isLeased,
          isSaidToRun: kind === "awake",
        });
      }
    });
  }

  it("is never to go without both a reachable VM and a lease", () => {
    const standings: readonly (Standing | undefined)[] = [
      undefined,
      HOPELESS,
      { kind: "asleep" },
      { kind: "moving" },
      { kind: "awake", target },
      { kind: "starting", target },
    ];
    for (const standing of standings) {
      for (const [isReachable, isLeased] of [
        [true, false],
        [false, true],
        [false, false],
      ] as const) {
        expect(decide(standing, isReachable, isLeased).kind).not.to.equal("release");
      }
    }
  });
});

describe("why nothing moves", () => {
  const QUIET: WaitFacts = {
    trouble: undefined,
    isOperatorsTurn: true,
    stillMs: 59_999,
    stalledMs: 60_000,
    isOtherVm: false,
  };
  const reasonOf = (facts: Partial<WaitFacts>): string | undefined =>
    whyNothingMoves({ key: "team-a/ada", phase: "Asleep" }, { ...QUIET, ...facts })?.metadata.find(
      ([name]) => name === "satellite-reason",
    )?.[1];

  it("is unknown while the operator still has time", () => {
    expect(reasonOf({})).to.equal(undefined);
    expect(reasonOf({ stillMs: 60_000, isOperatorsTurn: false })).to.equal(undefined);
  });

  it("is the API server's error before an operator that is away, and that before another VM", () => {
    const all = { trouble: new Error("timeout"), stillMs: 60_000, isOtherVm: true };
    expect(reasonOf(all)).to.equal("InternalError");
    expect(reasonOf({ ...all, trouble: undefined })).to.equal("OperatorStalled");
    expect(reasonOf({ isOtherVm: true })).to.equal("OtherVM");
  });
});
