import { expect } from "chai";
import {
  activityPatch,
  idleOffPatch,
  isLegalMove,
  leasePatch,
  powerTests,
  removeActivityPatch,
  wakePatch,
} from "../../src/satellite/power.ts";
import type { PatchOperation } from "../../src/satellite/json-patch.ts";
import type { Lease, Power, PowerState } from "../../src/satellite/resource.ts";
import { satellite } from "../operator/fixtures.ts";

const LEASE: Lease = { seq: 7, validSeconds: 600, openStreams: 1, time: "2026-01-01T00:00:00Z" };
const POWER: Power = { state: "Running", epoch: 3, accepted: true, fence: 0 };
const subject = satellite({ status: { power: POWER, activity: { "router/0": LEASE } } });

const tested = (operations: readonly PatchOperation[]): string[] =>
  operations.flatMap(({ op, path }) => (op === "test" ? [path] : []));
const written = (operations: readonly PatchOperation[]): string[] =>
  operations.flatMap(({ op, path }) => (op === "test" ? [] : [`${op} ${path}`]));

describe("the power protocol's patches", () => {
  it("wake: only what may be woken by requests", () => {
    expect(tested(wakePatch(subject))).to.deep.equal(["/metadata/uid", "/spec/wakePolicy"]);
    expect(written(wakePatch(subject))).to.deep.equal(["add /spec/desiredPower"]);
  });

  it("lease: only on the stretch of being awake that the router knows", () => {
    expect(tested(leasePatch(subject, "router/0", LEASE))).to.deep.equal([
      "/metadata/uid",
      "/spec/desiredPower",
      "/status/power/state",
      "/status/power/epoch",
    ]);
  });

  it("lease: writes the router's own entry, its name escaped as a JSON pointer asks for", () => {
    expect(written(leasePatch(subject, "router/0", LEASE))).to.include("add /status/activity/router~10");
  });

  it("report: is accepted in every power state", () => {
    expect(tested(activityPatch(subject, "router/0", LEASE))).to.deep.equal(["/metadata/uid"]);
  });

  it("idle-off: nothing that a person or a router did since it was read", () => {
    expect(tested(idleOffPatch(subject))).to.deep.equal([
      "/metadata/uid",
      "/metadata/generation",
      "/status/activity",
    ]);
  });

  it("pruning: not if the router wrote again", () => {
    const operations = removeActivityPatch(subject, "router/0");
    expect(operations[1]).to.deep.equal({ op: "test", path: "/status/activity/router~10", value: LEASE });
    expect(written(operations)).to.deep.equal(["remove /status/activity/router~10"]);
  });

  describe("a move of power", () => {
    const move = (from: PowerState, to: PowerState, reason: string): string[] =>
      tested(
        powerTests(satellite({ status: { power: { ...POWER, state: from } } }), {
          ...POWER,
          state: to,
          reason,
        }),
      );

    it("tests power as it was read, whatever it does", () => {
      expect(move("Starting", "Running", "Wake")).to.deep.equal(["/metadata/uid", "/status/power"]);
    });

    it("starts only what is wished on, but for a refresh", () => {
      expect(move("Off", "Starting", "Wake")).to.include("/spec/desiredPower");
      expect(move("Off", "Starting", "Refresh")).not.to.include("/spec/desiredPower");
    });

    it("stops only what is wished off and what no router has touched since", () => {
      expect(move("Running", "Stopping", "DesiredOff")).to.include.members([
        "/spec/desiredPower",
        "/status/activity",
      ]);
    });

    it("drains whatever the routers write, and deletes whatever is wished", () => {
      expect(move("Running", "Stopping", "Draining")).not.to.include("/status/activity");
      expect(move("Running", "Stopping", "Deleting")).not.to.include("/spec/desiredPower");
    });

    it("that the protocol does not have is a bug, and throws", () => {
      expect(() => move("Stopping", "Running", "Wake")).to.throw(
        "power cannot move from Stopping to Running",
      );
    });

    it("never takes a stop back", () => {
      const states: PowerState[] = ["Off", "Starting", "Running", "Stopping", "Updating"];
      expect(states.filter((to) => isLegalMove("Stopping", to))).to.deep.equal(["Off", "Stopping"]);
    });
  });
});
