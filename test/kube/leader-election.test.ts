import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import { KubeError } from "../../src/kube/errors.ts";
import {
  LeaderElector,
  type LeaderElectionOptions,
  type LeadershipEnd,
} from "../../src/kube/leader-election.ts";
import { createKubeMetrics } from "../../src/kube/metrics.ts";
import { keyString } from "../../src/kube/objects.ts";
import { type Lease, LEASE } from "../../src/kube/resources.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { EmbeddedKube } from "../support/embedded-kube.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const KEY = { namespace: "system", name: "operator" };

interface Candidate {
  readonly elector: LeaderElector;
  readonly ended: Promise<LeadershipEnd>;
  readonly stop: AbortController;
  readonly story: string[];
  readonly registry: Registry;
}

describe("LeaderElector", () => {
  let clock: VirtualClock;
  let kube: EmbeddedKube;
  const candidates: Candidate[] = [];

  beforeEach(() => {
    clock = new VirtualClock();
    kube = new EmbeddedKube({ namespaces: ["apps", "system"] });
  });

  afterEach(async () => {
    kube.before = () => {};
    for (const { stop } of candidates) {
      stop.abort();
    }
    await clock.advance(60_000);
    await Promise.allSettled(candidates.splice(0).map(({ ended }) => ended));
  });

  function candidate(identity: string, overrides: Partial<LeaderElectionOptions> = {}): Candidate {
    const story: string[] = [];
    const registry = new Registry();
    const stop = new AbortController();
    const elector = new LeaderElector({
      client: kube,
      clock,
      random: () => 0.5,
      logger: silentLogger,
      metrics: createKubeMetrics(registry),
      ...KEY,
      identity,
      async onStartedLeading(signal) {
        story.push("started");
        signal.addEventListener("abort", () => story.push("told to stop"));
      },
      onStoppedLeading: (end) => story.push(end),
      ...overrides,
    });
    const one = { elector, ended: elector.run(stop.signal), stop, story, registry };
    one.ended.catch(() => {
      // The tests that expect a failure look at it themselves.
    });
    candidates.push(one);
    return one;
  }

  const lease = async (): Promise<NonNullable<Lease["spec"]>> => (await kube.get<Lease>(LEASE, KEY)).spec!;
  const unreachable = new KubeError({ reason: "Unreachable", status: 0, message: "cut off by the test" });

  it("takes a lease that does not exist, and writes what client-go writes", async () => {
    const { elector, story, registry } = candidate("a");
    await clock.advance(0);
    expect(elector.isLeader()).to.equal(true);
    expect(story).to.deep.equal(["started"]);
    expect(await lease()).to.deep.equal({
      holderIdentity: "a",
      leaseDurationSeconds: 15,
      acquireTime: "2026-01-01T00:00:00.000000Z",
      renewTime: "2026-01-01T00:00:00.000000Z",
      leaseTransitions: 0,
    });
    expect(await registry.metrics()).to.contain('leader_election_master_status{name="operator"} 1');
  });

  describe("with an owner of the lease", () => {
    const owner = { apiVersion: "apps/v1", kind: "Deployment", name: "operator", uid: "u-1" };
    const owners = async (): Promise<unknown> => (await kube.get<Lease>(LEASE, KEY)).metadata.ownerReferences;

    it("creates the lease as its owner's, so that it goes when that goes", async () => {
      candidate("a", { owner: async () => owner });
      await clock.advance(0);
      expect(await owners()).to.deep.equal([owner]);
    });

    it("leaves a lease that is there as it is: whose it is may be changed by few", async () => {
      await kube.create<Lease>(LEASE, { metadata: KEY, spec: { holderIdentity: "" } });
      const { elector } = candidate("a", { owner: async () => owner });
      await clock.advance(0);
      expect(elector.isLeader()).to.equal(true);
      expect(await owners()).to.equal(undefined);
    });

    for (const [reason, status] of [
      ["Forbidden", 403],
      ["NotFound", 404],
    ] as const) {
      it(`leads with a lease that is nobody's where the owner cannot be read: ${reason}`, async () => {
        const refusal = new KubeError({ reason, status, message: "by the test" });
        const { elector } = candidate("a", { owner: () => Promise.reject(refusal) });
        await clock.advance(0);
        expect(elector.isLeader()).to.equal(true);
        expect(await owners()).to.equal(undefined);
      });
    }

    it("does not create a lease that is nobody's because the owner could not be asked for just now", async () => {
      let isAway = true;
      const { elector } = candidate("a", {
        owner: () => (isAway ? Promise.reject(unreachable) : Promise.resolve(owner)),
      });
      await clock.advance(10_000);
      expect(elector.isLeader()).to.equal(false);
      isAway = false;
      await clock.advance(5_000);
      expect(await owners()).to.deep.equal([owner]);
    });
  });

  it("waits for the end of a lead whose lease it saw vanish: the leader may not know yet", async () => {
    const first = candidate("a");
    await clock.advance(0);
    const second = candidate("b");
    await clock.advance(1_000);
    await kube.delete(LEASE, KEY);
    // The leader renews by replacing, which it cannot for now.
    kube.before = ({ verb }) => {
      if (verb === "replace") {
        throw unreachable;
      }
    };
    for (let step = 0; step < 200; step += 1) {
      await clock.advance(100);
      expect([first, second].filter(({ elector }) => elector.marginMs() > 0).length).to.be.at.most(1);
    }
    kube.before = () => {};
    await clock.advance(20_000);
    expect([first, second].filter(({ elector }) => elector.isLeader())).to.have.length(1);
  });

  it("renews every retry period, with one write each and no read", async () => {
    const { elector } = candidate("a");
    await clock.advance(0);
    kube.calls.length = 0;
    await clock.advance(60_000);
    expect(elector.isLeader()).to.equal(true);
    expect(kube.calls.map(({ verb }) => verb)).to.deep.equal(Array.from({ length: 30 }, () => "replace"));
    expect((await lease()).renewTime).to.equal("2026-01-01T00:01:00.000000Z");
    expect((await lease()).acquireTime).to.equal("2026-01-01T00:00:00.000000Z");
  });

  it("lets one of three lead, at any time", async () => {
    const three = ["a", "b", "c"].map((identity) => candidate(identity));
    for (let second = 0; second < 60; second++) {
      await clock.advance(1_000);
      expect(three.filter(({ elector }) => elector.isLeader())).to.have.length(1);
    }
  });

  it("takes over after the lease's time, not before, when the leader falls silent", async () => {
    const first = candidate("a");
    await clock.advance(0);
    const second = candidate("b");
    await clock.advance(20_000);
    expect(second.elector.leader()).to.equal("a");
    kube.before = ({ verb, key }) => {
      // Only the first is cut off: it alone writes while it leads.
      if (verb !== "get" && key === keyString(KEY) && first.elector.isLeader()) {
        throw unreachable;
      }
    };
    let silentForMs = 0;
    while (!second.elector.isLeader()) {
      await clock.advance(100);
      silentForMs += 100;
      expect(first.elector.isLeader() && second.elector.isLeader()).to.equal(false);
      expect(silentForMs).to.be.below(25_000);
    }
    expect(silentForMs).to.be.at.least(15_000);
    expect(first.story).to.deep.equal(["started", "told to stop", "lost"]);
    expect(await first.ended).to.equal("lost");
    expect((await lease()).leaseTransitions).to.equal(1);
  });

  it("steps down at the renew deadline, while others still have to wait", async () => {
    const { elector, story, ended, registry } = candidate("a");
    await clock.advance(0);
    kube.before = () => {
      throw unreachable;
    };
    await clock.advance(9_999);
    expect(elector.isLeader()).to.equal(true);
    expect(elector.marginMs()).to.equal(5_001);
    await clock.advance(1);
    expect(elector.isLeader()).to.equal(false);
    expect(elector.marginMs()).to.equal(0);
    expect(story).to.deep.equal(["started", "told to stop", "lost"]);
    expect(await ended).to.equal("lost");
    expect(await registry.metrics()).to.contain('leader_election_master_status{name="operator"} 0');
  });

  it("keeps leading through a shorter failure", async () => {
    const { elector } = candidate("a");
    await clock.advance(0);
    kube.before = () => {
      throw unreachable;
    };
    await clock.advance(7_000);
    kube.before = () => {};
    await clock.advance(60_000);
    expect(elector.isLeader()).to.equal(true);
  });

  it("knows at once that it does not lead any more when it was stopped and resumes", async () => {
    const { elector, story } = candidate("a");
    await clock.advance(3_000);
    clock.leap(15_000);
    expect(elector.isLeader()).to.equal(false);
    expect(elector.marginMs()).to.equal(0);
    kube.calls.length = 0;
    await clock.advance(0);
    expect(story).to.deep.equal(["started", "told to stop", "lost"]);
    expect(kube.calls).to.deep.equal([]);
  });

  it("counts its margin from when the renewal was sent, however late the answer comes", async () => {
    const { elector } = candidate("a");
    await clock.advance(0);
    const gate = Promise.withResolvers<void>();
    kube.before = () => gate.promise;
    await clock.advance(2_000);
    expect(elector.marginMs()).to.equal(13_000);
    await clock.advance(3_000);
    expect(elector.marginMs()).to.equal(10_000);
    kube.before = () => {};
    gate.resolve();
    await clock.settle();
    expect(elector.marginMs()).to.equal(12_000);
  });

  it("does not believe a renewal whose answer was lost, and recovers by reading", async () => {
    const { elector } = candidate("a");
    await clock.advance(0);
    kube.after = () => {
      kube.after = () => {};
      throw unreachable;
    };
    await clock.advance(2_000);
    expect(elector.marginMs()).to.equal(13_000);
    await clock.advance(2_000);
    expect(elector.marginMs()).to.equal(15_000);
  });

  it("gives way at once when another has taken the lease", async () => {
    const { ended } = candidate("a");
    await clock.advance(0);
    const taken = await kube.get<Lease>(LEASE, KEY);
    await kube.replace(LEASE, { ...taken, spec: { ...taken.spec, holderIdentity: "b" } });
    await clock.advance(4_000);
    expect(await ended).to.equal("lost");
  });

  it("does not heed the clock of the holder's machine", async () => {
    const renewTime = "2031-01-01T00:00:00.000000Z";
    const spec = { holderIdentity: "gone", leaseDurationSeconds: 15, renewTime };
    await kube.create<Lease>(LEASE, { metadata: KEY, spec });
    const { elector } = candidate("a");
    await clock.advance(14_000);
    expect(elector.isLeader()).to.equal(false);
    await clock.advance(5_000);
    expect(elector.isLeader()).to.equal(true);
  });

  it("waits as long as the holder's own record says", async () => {
    const spec = { holderIdentity: "slow", leaseDurationSeconds: 60 };
    await kube.create<Lease>(LEASE, { metadata: KEY, spec });
    const { elector } = candidate("a");
    await clock.advance(59_000);
    expect(elector.isLeader()).to.equal(false);
    await clock.advance(5_000);
    expect(elector.isLeader()).to.equal(true);
  });

  it("takes a lease at once that bears its own identity", async () => {
    const acquireTime = "2025-12-31T23:00:00.000000Z";
    const spec = { holderIdentity: "a", leaseDurationSeconds: 15, acquireTime, leaseTransitions: 3 };
    await kube.create<Lease>(LEASE, { metadata: KEY, spec });
    const { elector } = candidate("a");
    await clock.advance(0);
    expect(elector.isLeader()).to.equal(true);
    expect(await lease()).to.deep.include({ acquireTime, leaseTransitions: 3 });
  });

  it("stops in order: tells the work, renews until it has settled, releases, then says so", async () => {
    const story: string[] = [];
    const { elector, stop, ended } = candidate("a", {
      async onStartedLeading(signal) {
        await new Promise<void>((resolve) => {
          signal.addEventListener("abort", () => {
            story.push("settling");
            clock.setTimer(30_000, resolve);
          });
        });
        story.push(`settled, held by ${(await lease()).holderIdentity}`);
      },
      onStoppedLeading: (end) => story.push(end),
    });
    await clock.advance(5_000);
    const next = candidate("b");
    stop.abort();
    await clock.advance(29_000);
    expect(elector.isLeader()).to.equal(true);
    await clock.advance(1_000);
    expect(await ended).to.equal("released");
    expect(story).to.deep.equal(["settling", "settled, held by a", "released"]);
    expect(elector.isLeader()).to.equal(false);
    await clock.advance(4_400);
    expect(next.elector.isLeader()).to.equal(true);
  });

  it("releases, and passes on what the work threw", async () => {
    const { ended } = candidate("a", {
      onStartedLeading: () => Promise.reject(new Error("broken")),
    });
    await clock.advance(0);
    const thrown = await ended.catch((error: unknown) => error);
    expect(thrown).to.be.instanceOf(Error).with.property("message", "broken");
    expect((await lease()).holderIdentity).to.equal("");
  });

  it("starts no work when it was told to stop while it took the lease", async () => {
    const gate = Promise.withResolvers<void>();
    kube.before = ({ verb }) => (verb === "create" ? gate.promise : undefined);
    const { stop, story, ended } = candidate("a");
    await clock.advance(0);
    stop.abort();
    gate.resolve();
    await clock.advance(0);
    expect(await ended).to.equal("released");
    expect(story).to.deep.equal([]);
    expect((await lease()).holderIdentity).to.equal("");
  });

  it("tells each new leader once", async () => {
    const seen: string[] = [];
    const first = candidate("a");
    await clock.advance(0);
    candidate("b", { onNewLeader: (identity) => seen.push(identity) });
    await clock.advance(10_000);
    first.stop.abort();
    await clock.advance(10_000);
    expect(seen).to.deep.equal(["a", "b"]);
  });

  it("refuses times that leave no room for each other", () => {
    expect(() => candidate("a", { leaseDurationMs: 10_000 })).to.throw("longer than the renew deadline");
  });
});
