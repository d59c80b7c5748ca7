import { expect } from "chai";
import { PhaseHistory } from "../../src/page/phase-history.ts";

const BOUNDS = { windowMs: 1_000, maxSatellites: 2, maxPhases: 3, maxChanges: 2 };

describe("the history of phases", () => {
  it("begins with what is, and goes on with what becomes different", () => {
    const history = new PhaseHistory();
    expect(history.observe("a/ada", "Asleep", 100)).to.equal(undefined);
    expect(history.observe("a/ada", "Asleep", 150)).to.equal(undefined);
    const change = { key: "a/ada", from: "Asleep", phase: "Waking", atMs: 200, afterMs: 100 };
    expect(history.observe("a/ada", "Waking", 200)).to.deep.equal(change);
    expect(history.phasesOf("a/ada")).to.deep.equal([
      { atMs: 100, phase: "Asleep" },
      { atMs: 200, phase: "Waking" },
    ]);
    expect(history.changes()).to.deep.equal([change]);
  });

  it("keeps what reaches into its window, and forgets what ended before", () => {
    const history = new PhaseHistory({ ...BOUNDS, maxPhases: 100 });
    history.observe("a/ada", "Asleep", 0);
    history.observe("a/ada", "Waking", 400);
    history.observe("a/ada", "Running", 600);
    history.observe("a/ada", "Stopping", 1_500);
    expect(
      history.phasesOf("a/ada").map(({ atMs }) => atMs),
      "at 500 it was waking",
    ).to.deep.equal([400, 600, 1_500]);
    history.observe("a/ada", "Asleep", 9_000);
    expect(history.phasesOf("a/ada").map(({ phase }) => phase)).to.deep.equal(["Stopping", "Asleep"]);
  });

  it("is bounded by phases of each, by satellites and by changes", () => {
    const history = new PhaseHistory(BOUNDS);
    for (const key of ["a/ada", "a/bob", "a/cyd"]) {
      for (let at = 0; at < 100; at++) {
        history.observe(key, at % 2 === 0 ? "Running" : "Asleep", at);
      }
    }
    expect(["a/ada", "a/bob", "a/cyd"].map((key) => history.phasesOf(key).length)).to.deep.equal([3, 3, 0]);
    expect(history.changes().map(({ atMs }) => atMs)).to.deep.equal([99, 98]);
  });

  it("has room again when one is gone", () => {
    const history = new PhaseHistory({ ...BOUNDS, maxSatellites: 1 });
    history.observe("a/ada", "Asleep", 0);
    history.forget("a/ada");
    history.observe("a/bob", "Asleep", 1);
    expect(history.phasesOf("a/ada")).to.deep.equal([]);
    expect(history.phasesOf("a/bob")).to.have.length(1);
  });
});
