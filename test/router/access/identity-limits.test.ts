import { expect } from "chai";
import { GrpcStatus } from "../../../src/router/engine.ts";
import { DEFAULT_IDENTITY_LIMITS, IdentityLimits } from "../../../src/router/identity-limits.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

describe("limits of one caller", () => {
  let clock: VirtualClock;

  beforeEach(() => {
    clock = new VirtualClock();
  });

  const make = (options: Partial<typeof DEFAULT_IDENTITY_LIMITS> = {}, places = 20_000): IdentityLimits =>
    new IdentityLimits({ ...DEFAULT_IDENTITY_LIMITS, ...options }, places, clock);

  const reason = (answer: ReturnType<IdentityLimits["enter"]>): string | undefined =>
    answer?.metadata.find(([name]) => name === "satellite-reason")?.[1];

  describe("on wakes", () => {
    it("let a burst pass, then no more than the rate", () => {
      const limits = make({ wakeBurst: 10, wakesPerMinute: 60 });
      const answers = Array.from({ length: 1_000 }, () => limits.enter("mallory", true));
      expect(answers.filter((answer) => answer === undefined)).to.have.lengthOf(10);
      clock.leap(3_000);
      const later = Array.from({ length: 10 }, () => limits.enter("mallory", true));
      expect(later.filter((answer) => answer === undefined)).to.have.lengthOf(3);
    });

    it("are each caller's own", () => {
      const limits = make({ wakeBurst: 1 });
      expect(limits.enter("mallory", true)).to.equal(undefined);
      expect(reason(limits.enter("mallory", true))).to.equal("TooManyWakes");
      expect(limits.enter("alice", true)).to.equal(undefined);
    });

    it("count nothing for requests that wake nothing", () => {
      const limits = make({ wakeBurst: 1 });
      for (let i = 0; i < 100; i++) {
        expect(limits.enter("alice", false)).to.equal(undefined);
      }
      expect(limits.enter("alice", true)).to.equal(undefined);
    });

    it("tell people what to do, and clients when to try again", () => {
      const limits = make({ wakeBurst: 1, wakesPerMinute: 30 });
      limits.enter("mallory", true);
      clock.leap(500);
      const answer = limits.enter("mallory", true);
      expect(answer?.status).to.equal(GrpcStatus.RESOURCE_EXHAUSTED);
      expect(answer?.message).to.contain("try again in 2 s").and.contain("--wakes-per-minute");
      expect(answer?.metadata).to.deep.include(["grpc-retry-pushback-ms", "1500"]);
    });

    it("save up no more than the burst", () => {
      const limits = make({ wakeBurst: 2 });
      limits.enter("alice", true);
      clock.leap(3_600_000);
      const answers = Array.from({ length: 10 }, () => limits.enter("alice", true));
      expect(answers.filter((answer) => answer === undefined)).to.have.lengthOf(2);
    });

    it("forget callers whose allowance is whole again, and none who is owed a wait", () => {
      const limits = make({ wakeBurst: 1, wakesPerMinute: 1 });
      for (let i = 0; i < 1_500; i++) {
        limits.enter(`user-${i}`, true);
      }
      for (let i = 0; i < 1_500; i++) {
        expect(reason(limits.enter(`user-${i}`, true)), `user-${i}`).to.equal("TooManyWakes");
      }
    });
  });

  describe("on held requests", () => {
    it("are a number, given back by each that ends", () => {
      const limits = make({ maxHeld: 3 });
      for (let i = 0; i < 3; i++) {
        expect(limits.enter("alice", false)).to.equal(undefined);
      }
      expect(reason(limits.enter("alice", false))).to.equal("TooManyHeldRequests");
      expect(limits.enter("bob", false)).to.equal(undefined);
      limits.leave("alice");
      expect(limits.enter("alice", false)).to.equal(undefined);
      expect(reason(limits.enter("alice", false))).to.equal("TooManyHeldRequests");
    });

    it("become an equal share when the router is more than half full", () => {
      const limits = make({ maxHeld: 1_000 }, 100);
      let held = 0;
      while (limits.enter("mallory", false) === undefined) {
        held += 1;
      }
      expect(held, "half of the places, and a share is half").to.equal(50);
      let alices = 0;
      while (limits.enter("alice", false) === undefined) {
        alices += 1;
      }
      expect(alices, "a third of the places").to.equal(33);
      expect(limits.enter("bob", false), "there is room for somebody new").to.equal(undefined);
    });

    it("do not use up a wake when the request is refused for its place", () => {
      const limits = make({ maxHeld: 1, wakeBurst: 2 });
      limits.enter("alice", true);
      limits.enter("alice", true);
      limits.leave("alice");
      expect(limits.enter("alice", true)).to.equal(undefined);
    });
  });
});
