import { expect } from "chai";
import { findCondition, setConditions, timestamp } from "../../src/satellite/conditions.ts";
import { phaseOf, type PhaseFacts } from "../../src/satellite/phase.ts";
import type { Power } from "../../src/satellite/resource.ts";
import { sameJson, statusPatch } from "../../src/satellite/status-patch.ts";
import { satellite } from "../operator/fixtures.ts";

const EARLIER = new Date("2026-01-01T00:00:00.700Z");
const LATER = new Date("2026-01-01T00:05:00Z");

describe("conditions", () => {
  const awake = { type: "Awake", status: "True", reason: "PortAnswers", message: "it answers" } as const;

  it("keep their transition time until their status changes", () => {
    const first = setConditions(undefined, [awake], EARLIER, 1);
    const reworded = setConditions(first, [{ ...awake, message: "still" }], LATER, 2);
    expect(findCondition(reworded, "Awake")).to.include({
      message: "still",
      lastTransitionTime: "2026-01-01T00:00:00Z",
      observedGeneration: 2,
    });
    const changed = setConditions(reworded, [{ ...awake, status: "False" }], LATER, 2);
    expect(findCondition(changed, "Awake")?.lastTransitionTime).to.equal("2026-01-01T00:05:00Z");
  });

  it("of other types are left alone", () => {
    const other = { ...awake, type: "Launched" } as const;
    const both = setConditions(setConditions(undefined, [other], EARLIER, 1), [awake], LATER, 1);
    expect(both.map(({ type }) => type)).to.deep.equal(["Launched", "Awake"]);
  });

  it("carry messages that the schema accepts", () => {
    const [long] = setConditions(undefined, [{ ...awake, message: "x".repeat(10_000) }], EARLIER, 1);
    expect(long?.message).to.have.length(4096);
  });

  it("carry times with whole seconds, as metav1.Time does", () => {
    expect(timestamp(EARLIER)).to.equal("2026-01-01T00:00:00Z");
  });
});

describe("the phase", () => {
  const power = (state: Power["state"], more: Partial<Power> = {}): Power => ({
    state,
    epoch: 1,
    accepted: false,
    fence: 0,
    ...more,
  });
  const base: PhaseFacts = {
    deleting: false,
    failed: false,
    desiredPower: "on",
    power: power("Running"),
    hasMachine: true,
  };
  const rows: readonly (readonly [Partial<PhaseFacts>, string])[] = [
    [{}, "Running"],
    [{ deleting: true, failed: true }, "Deleting"],
    [{ failed: true }, "Failed"],
    [{ power: power("Updating") }, "Updating"],
    [{ power: power("Stopping", { reason: "Draining" }) }, "Draining"],
    [{ power: power("Stopping", { reason: "Draining", accepted: true }) }, "Stopping"],
    [{ power: power("Stopping", { reason: "DesiredOff" }) }, "Stopping"],
    [{ power: power("Starting", { reason: "Launch" }) }, "Launching"],
    [{ power: power("Starting", { reason: "Wake" }) }, "Waking"],
    [{ power: power("Off") }, "Waking"],
    [{ power: power("Off"), hasMachine: false }, "Pending"],
    [{ power: power("Off"), desiredPower: "off" }, "Asleep"],
  ];
  for (const [facts, phase] of rows) {
    it(`is ${phase} for ${JSON.stringify(facts)}`, () => {
      expect(phaseOf({ ...base, ...facts })).to.equal(phase);
    });
  }
});

describe("the status patch", () => {
  const subject = satellite({ status: { phase: "Asleep", endpoint: { host: "10.0.0.1", port: 8372 } } });
  const { power } = subject.status;

  it("is none where nothing differs, in whatever order the members stand", () => {
    const endpoint = { port: 8372, host: "10.0.0.1" };
    expect(statusPatch(subject, { power, phase: "Asleep", endpoint })).to.equal(undefined);
  });

  it("sets what differs, removes what is not wanted, and leaves what belongs to routers", () => {
    const leased = { ...subject, status: { ...subject.status, activity: {} } };
    const operations = statusPatch(leased, { power, phase: "Pending" }) ?? [];
    expect(operations.slice(2)).to.deep.equal([
      { op: "add", path: "/status/phase", value: "Pending" },
      { op: "remove", path: "/status/endpoint" },
    ]);
  });

  it("puts the protocol's tests in front", () => {
    const [first, second] = statusPatch(subject, { power, phase: "Pending" }) ?? [];
    expect([first?.path, second?.path]).to.deep.equal(["/metadata/uid", "/status/power"]);
  });

  it("compares an absent member with an undefined one as equal", () => {
    expect(sameJson({ a: 1 }, { a: 1, b: undefined })).to.equal(true);
    expect(sameJson([1], { 0: 1 })).to.equal(false);
  });
});
