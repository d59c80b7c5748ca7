import { expect } from "chai";

import { KubeError } from "../../src/kube/errors.ts";
import { GrpcStatus, type Admission } from "../../src/router/engine.ts";
import { CollectingLogger } from "../support/collecting-logger.ts";
import { forbidden, unreachable } from "../support/embedded-kube.ts";
import { GateBench, KEY, ROUTER, type TestRequest } from "./gate-bench.ts";
import { awake, power, satellite } from "./satellites.ts";

function refused(request: TestRequest): Extract<Admission, { kind: "refuse" }> {
  const admission = request.admission();
  if (admission?.kind !== "refuse") {
    throw new Error(`expected a refusal, got ${JSON.stringify(admission)}`);
  }
  return admission;
}

function forwarded(request: TestRequest): Extract<Admission, { kind: "forward" }> {
  const admission = request.admission();
  if (admission?.kind !== "forward") {
    throw new Error(`expected a forward, got ${JSON.stringify(admission)}`);
  }
  return admission;
}

function reasonOf(request: TestRequest): string | undefined {
  return refused(request).metadata.find(([name]) => name === "satellite-reason")?.[1];
}

/** The operator's part of a wake: the intent, the cloud's acceptance, and Running. */
function startAccepted(bench: GateBench): void {
  bench.server.change(KEY, ({ status }) => {
    status.power = power("Starting");
    status.phase = "Waking";
  });
}

function runs(bench: GateBench): void {
  bench.server.change(KEY, ({ status }) => {
    status.power = power("Running");
    status.phase = "Running";
  });
}

describe("gate: a satellite that is awake", () => {
  it("takes a lease for the first request, in one round trip, and forwards it", async () => {
    const bench = new GateBench([awake()]);
    const request = bench.request();
    expect(request.wasImmediate).to.equal(false);
    await bench.clock.settle();
    expect(forwarded(request).upstream).to.deep.equal({
      satellite: KEY,
      epoch: 4,
      host: "127.0.0.1",
      port: 8372,
      tlsFingerprint: undefined,
    });
    expect(bench.server.calls).to.have.length(1);
    expect(bench.entry()).to.include({ validSeconds: 1800, openStreams: 1 });
  });

  it("admits at once and without any call while the lease is young", async () => {
    const bench = new GateBench([awake()]);
    bench.request();
    await bench.clock.settle();
    await bench.clock.advance(60_000);
    const calls = bench.server.calls.length;
    expect(bench.request().wasImmediate).to.equal(true);
    await bench.clock.settle();
    expect(bench.server.calls).to.have.length(calls);
  });

  it("admits until half of the lease, counted from when its patch was sent, and no longer", async () => {
    const bench = new GateBench([awake({ spec: { idleTimeout: "100s" } })]);
    bench.server.after = async () => {
      bench.clock.leap(20_000);
    };
    const first = bench.request();
    await bench.clock.settle();
    forwarded(first).release();
    bench.server.after = () => {};
    // The report of the ended stream must not count as a renewal.
    await bench.clock.advance(29_999);
    const last = bench.request();
    expect(last.wasImmediate).to.equal(true);
    forwarded(last).release();
    await bench.clock.advance(1);
    expect(bench.request().wasImmediate).to.equal(false);
  });

  it("renews at a third of the lease while a stream is open, and not when none is", async () => {
    const bench = new GateBench([awake({ spec: { idleTimeout: "90s" } })]);
    const request = bench.request();
    await bench.clock.settle();
    const first = bench.entry();
    await bench.clock.advance(29_999);
    expect(bench.entry()).to.deep.equal(first);
    await bench.clock.advance(1);
    expect(bench.entry()?.seq).to.equal((first?.seq ?? 0) + 1);
    forwarded(request).release();
    await bench.clock.advance(10_000);
    const last = bench.entry();
    expect(last?.openStreams).to.equal(0);
    await bench.clock.advance(3_600_000);
    expect(bench.entry()).to.deep.equal(last);
    expect(bench.clock.pendingTimers).to.equal(0);
  });

  it("reports that streams ran out once, after a quiet while, not after every call", async () => {
    const bench = new GateBench([awake()]);
    for (let call = 0; call < 50; call++) {
      const request = bench.request();
      await bench.clock.settle();
      forwarded(request).release();
      await bench.clock.advance(1000);
    }
    expect(bench.server.statusCalls).to.have.length(1);
    await bench.clock.advance(60_000);
    expect(bench.server.statusCalls).to.have.length(2);
    expect(bench.entry()?.openStreams).to.equal(0);
  });

  it("does not take a lease when the satellite was set off: it wakes it and waits", async () => {
    const bench = new GateBench([awake()]);
    bench.disconnect();
    bench.server.change(KEY, (object) => {
      object.spec.desiredPower = "off";
      object.status.power = power("Stopping");
    });
    const request = bench.request();
    await bench.clock.settle();
    expect(request.admission()).to.equal(undefined);
    expect(bench.server.calls.map(({ verb, subresource }) => subresource ?? verb)).to.deep.equal([
      "status",
      "get",
      "patch",
    ]);
    expect(bench.server.read(KEY).spec.desiredPower).to.equal("on");
    expect(bench.entry()).to.equal(undefined);
  });

  it("drops the lease when the epoch ends, although it is young", async () => {
    const bench = new GateBench([awake()]);
    bench.request();
    await bench.clock.settle();
    bench.server.change(KEY, ({ status }) => {
      status.power = power("Stopping", { reason: "Deleting" });
    });
    expect(bench.request().wasImmediate).to.equal(false);
    expect(bench.stopping).to.deep.equal([KEY]);
    bench.server.change(KEY, ({ status }) => {
      status.power = power("Running", { epoch: 5 });
    });
    const calls = bench.server.statusCalls.length;
    await bench.clock.settle();
    expect(bench.server.statusCalls.length).to.be.greaterThan(calls);
  });
});

describe("gate: what a lease must not do", () => {
  it("outlive the end of its epoch, whatever comes after", async () => {
    const bench = new GateBench([awake()]);
    bench.request();
    await bench.clock.settle();
    bench.server.change(KEY, ({ status }) => {
      status.power = power("Stopping", { reason: "Deleting" });
    });
    runs(bench);
    expect(bench.request().wasImmediate).to.equal(false);
  });

  it("be taken on an epoch that is ending: a write that waited for another is decided on anew", async () => {
    const bench = new GateBench([awake({ spec: { idleTimeout: "5s" } })]);
    const first = bench.request();
    await bench.clock.settle();
    forwarded(first).release();
    let letThrough = (): void => {};
    bench.server.before = () =>
      new Promise<void>((resolve) => {
        letThrough = resolve;
      });
    await bench.clock.advance(2500);
    expect(bench.server.statusCalls, "the report is under way").to.have.length(2);
    bench.request();
    await bench.clock.settle();
    bench.server.before = () => {};
    bench.server.change(KEY, ({ status }) => {
      status.power = power("Stopping", { reason: "Update" });
    });
    letThrough();
    await bench.clock.settle();
    expect(bench.server.statusCalls).to.have.length(2);
  });

  it("make the end of use go unreported because one report failed", async () => {
    const bench = new GateBench([awake({ spec: { idleTimeout: "5s" } })]);
    const request = bench.request();
    await bench.clock.settle();
    forwarded(request).release();
    bench.server.before = () => {
      throw unreachable();
    };
    await bench.clock.advance(1000);
    bench.server.before = () => {};
    await bench.clock.advance(10_000);
    expect(bench.entry()?.openStreams).to.equal(0);
  });
});

describe("gate: a satellite that sleeps", () => {
  it("wakes once for many requests and lets them go together and in order", async () => {
    const bench = new GateBench([satellite()]);
    const requests = Array.from({ length: 50 }, () => bench.request());
    await bench.clock.advance(1000);
    expect(bench.server.wakeCalls).to.have.length(1);
    expect(await bench.metric("satellites_router_held_requests")).to.equal(50);
    startAccepted(bench);
    await bench.clock.advance(500);
    runs(bench);
    await bench.clock.settle();
    expect(bench.answered).to.deep.equal(requests.map((_, index) => index));
    for (const request of requests) {
      expect(forwarded(request).heldMs).to.equal(1500);
    }
    expect(bench.server.wakeCalls).to.have.length(1);
    expect(await bench.metric("satellites_router_held_requests")).to.equal(0);
    expect(await bench.metric("satellites_router_wakes_total")).to.equal(1);
    expect(bench.entry()?.openStreams).to.equal(50);
  });

  it("forwards on its own probe's success, ahead of the operator, under a lease on that epoch", async () => {
    const bench = new GateBench([satellite()]);
    const request = bench.request();
    await bench.clock.settle();
    bench.server.change(KEY, ({ status }) => {
      status.power = power("Starting", { accepted: false });
    });
    await bench.clock.settle();
    expect(bench.prober.probes, "not before the cloud accepted the start").to.have.length(0);
    startAccepted(bench);
    await bench.clock.settle();
    expect(bench.prober.running.map(({ target }) => target.epoch)).to.deep.equal([4]);
    expect(request.admission()).to.equal(undefined);
    bench.prober.running[0]?.answer();
    await bench.clock.settle();
    expect(forwarded(request).upstream.epoch).to.equal(4);
    const lease = bench.server.statusCalls.at(-1)?.operations;
    expect(lease).to.deep.include({ op: "test", path: "/status/power/epoch", value: 4 });
  });

  it("does not forward on a probe's success when the start was taken back meanwhile", async () => {
    const bench = new GateBench([satellite()]);
    const request = bench.request();
    await bench.clock.settle();
    bench.server.before = ({ subresource }) => {
      if (subresource === "status") {
        throw unreachable();
      }
    };
    startAccepted(bench);
    await bench.clock.settle();
    bench.disconnect();
    bench.server.change(KEY, ({ status }) => {
      status.power = power("Stopping", { reason: "Refresh" });
    });
    bench.server.before = () => {};
    bench.prober.running[0]?.answer();
    await bench.clock.advance(10_000);
    expect(request.admission()).to.equal(undefined);
  });

  it("waits for the next epoch when it is caught falling asleep", async () => {
    const bench = new GateBench([
      satellite({ status: { phase: "Stopping", power: power("Stopping", { epoch: 3 }) } }),
    ]);
    const request = bench.request();
    await bench.clock.settle();
    expect(bench.server.wakeCalls).to.have.length(1);
    expect(bench.prober.probes).to.have.length(0);
    startAccepted(bench);
    runs(bench);
    await bench.clock.settle();
    expect(forwarded(request).upstream.epoch).to.equal(4);
  });

  it("writes nothing when somebody else's wake came first", async () => {
    const bench = new GateBench([satellite()]);
    bench.disconnect();
    bench.server.change(KEY, (object) => {
      object.spec.desiredPower = "on";
    });
    const before = bench.server.read(KEY).metadata.resourceVersion;
    bench.request();
    await bench.clock.advance(60_000);
    expect(bench.server.calls.map(({ verb }) => verb)).to.deep.equal(["patch"]);
    expect(bench.server.read(KEY).metadata.resourceVersion).to.equal(before);
  });

  it("reads a satellite that may not be woken any more, and does not guess", async () => {
    const bench = new GateBench([satellite()]);
    bench.disconnect();
    bench.server.change(KEY, (object) => {
      object.spec.wakePolicy = "Manual";
    });
    bench.request();
    await bench.clock.advance(60_000);
    expect(bench.server.calls.map(({ verb }) => verb)).to.deep.equal(["patch", "get"]);
    expect(bench.server.read(KEY).spec.desiredPower).to.equal("off");
  });

  it("tries a wake again when the API server does not answer, and finds that it had got through", async () => {
    const bench = new GateBench([satellite()]);
    let lost = true;
    bench.server.after = () => {
      if (lost) {
        lost = false;
        throw unreachable();
      }
    };
    bench.disconnect();
    bench.request();
    await bench.clock.advance(10_000);
    expect(bench.server.calls.map(({ verb }) => verb)).to.deep.equal(["patch", "patch"]);
    expect(bench.server.read(KEY).spec.desiredPower).to.equal("on");
  });

  it("finishes a wake although its request is gone", async () => {
    const bench = new GateBench([satellite()]);
    let answered = 0;
    bench.server.before = () => {
      if (answered++ < 3) {
        throw unreachable();
      }
    };
    const request = bench.request();
    request.cancel();
    await bench.clock.advance(10_000);
    expect(refused(request).status).to.equal(GrpcStatus.CANCELLED);
    expect(bench.server.read(KEY).spec.desiredPower).to.equal("on");
  });

  it("holds a lease while requests are held in a long start", async () => {
    const bench = new GateBench([satellite({ spec: { idleTimeout: "30s" } })]);
    bench.request();
    await bench.clock.settle();
    startAccepted(bench);
    await bench.clock.settle();
    const first = bench.entry();
    expect(first?.openStreams).to.equal(1);
    await bench.clock.advance(100_000);
    expect(bench.entry()?.seq).to.be.at.least((first?.seq ?? 0) + 9);
  });
});

describe("gate: requests that end otherwise", () => {
  it("never forwards a request that was cancelled while it was held, and wakes for the others", async () => {
    const bench = new GateBench([satellite()]);
    const cancelled = bench.request();
    const kept = bench.request();
    await bench.clock.settle();
    cancelled.cancel();
    startAccepted(bench);
    runs(bench);
    await bench.clock.settle();
    expect(refused(cancelled).status).to.equal(GrpcStatus.CANCELLED);
    expect(forwarded(kept).kind).to.equal("forward");
    expect(bench.entry()?.openStreams).to.equal(1);
  });

  it("stops probing when nobody waits any more", async () => {
    const bench = new GateBench([satellite()]);
    const request = bench.request();
    await bench.clock.settle();
    startAccepted(bench);
    await bench.clock.settle();
    request.cancel();
    await bench.clock.settle();
    expect(bench.prober.running).to.have.length(0);
  });

  it("answers DEADLINE_EXCEEDED at the deadline", async () => {
    const bench = new GateBench([satellite()]);
    const request = bench.request([["grpc-timeout", "4S"]]);
    await bench.clock.advance(3999);
    expect(request.admission()).to.equal(undefined);
    await bench.clock.advance(1);
    expect(refused(request).status).to.equal(GrpcStatus.DEADLINE_EXCEEDED);
  });

  it("says before the deadline why the satellite is not ready, where its condition does", async () => {
    const bench = new GateBench([satellite()]);
    const request = bench.request([["grpc-timeout", "4S"]]);
    await bench.clock.settle();
    bench.server.change(KEY, ({ status }) => {
      status.phase = "Waking";
      status.conditions = [
        {
          type: "Ready",
          status: "False",
          reason: "InsufficientCapacity",
          message: "EC2 has no capacity for m7i.large in eu-central-1a; it is tried again",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
      ];
    });
    await bench.clock.advance(3799);
    expect(request.admission()).to.equal(undefined);
    await bench.clock.advance(1);
    const { status, message, metadata } = refused(request);
    expect(status).to.equal(GrpcStatus.DEADLINE_EXCEEDED);
    expect(message).to.contain("InsufficientCapacity").and.contain("no capacity for m7i.large");
    expect(metadata).to.deep.include(["satellite-condition", "InsufficientCapacity"]);
  });

  it("gives up after the longest hold, and says what it waited for", async () => {
    const bench = new GateBench([satellite()], { gate: { maxHoldMs: 60_000, stalledMs: 600_000 } });
    const request = bench.request([["grpc-timeout", "1H"]]);
    await bench.clock.advance(60_000);
    expect(refused(request).status).to.equal(GrpcStatus.UNAVAILABLE);
    expect(reasonOf(request)).to.equal("HoldExpired");
  });

  it("says that the operator is absent when nothing moved, just before the deadline and not sooner", async () => {
    const bench = new GateBench([satellite()]);
    const request = bench.request([["grpc-timeout", "2M"]]);
    await bench.clock.advance(119_700);
    expect(request.admission()).to.equal(undefined);
    await bench.clock.advance(100);
    expect(refused(request).status).to.equal(GrpcStatus.UNAVAILABLE);
    expect(reasonOf(request)).to.equal("OperatorStalled");
  });

  it("says to the caller and in the log that the satellite has no place for this router, and goes on when it has", async () => {
    const logger = new CollectingLogger();
    const bench = new GateBench([awake()], { logger });
    const message = "Too many: 65: must have at most 64 items";
    bench.server.before = ({ subresource }) => {
      if (subresource === "status") {
        const causes = [{ field: "status.activity", message }];
        throw new KubeError({ reason: "Invalid", status: 422, message, causes });
      }
    };
    const early = bench.request([["grpc-timeout", "4S"]]);
    const late = bench.request([["grpc-timeout", "1M"]]);
    await bench.clock.advance(4000);
    expect(refused(early).status).to.equal(GrpcStatus.UNAVAILABLE);
    expect(reasonOf(early)).to.equal("NoPlaceForRouter");
    expect(refused(early).message).to.contain("must have at most 64 items");
    const warning = logger.lines.find(({ level }) => level === "warn");
    expect(warning?.fields).to.include({ satellite: KEY, router: ROUTER });
    bench.server.before = () => {};
    await bench.clock.advance(10_000);
    forwarded(late).release();
  });

  it("refuses more than the bound for one satellite, and than the bound for all", async () => {
    const bench = new GateBench([satellite()], { gate: { maxHeldPerSatellite: 2 } });
    bench.request();
    bench.request();
    const third = bench.request();
    await bench.clock.settle();
    expect(refused(third).status).to.equal(GrpcStatus.RESOURCE_EXHAUSTED);
    const other = new GateBench([satellite()], { gate: { maxHeld: 1 } });
    other.request();
    const second = other.request();
    await other.clock.settle();
    expect(refused(second).status).to.equal(GrpcStatus.RESOURCE_EXHAUSTED);
  });

  it("answers NOT_FOUND with the name, and asks the API server at most once a second", async () => {
    const bench = new GateBench([]);
    const requests = [bench.request(), bench.request()];
    await bench.clock.settle();
    requests.push(bench.request());
    await bench.clock.settle();
    for (const request of requests) {
      expect(refused(request).status).to.equal(GrpcStatus.NOT_FOUND);
      expect(refused(request).message).to.contain(KEY);
    }
    expect(bench.server.calls).to.have.length(1);
    await bench.clock.advance(1000);
    bench.request();
    await bench.clock.settle();
    expect(bench.server.calls).to.have.length(2);
  });

  it("finds a satellite that the cache does not have yet", async () => {
    const bench = new GateBench([]);
    bench.disconnect();
    bench.server.put(awake());
    const request = bench.request();
    await bench.clock.settle();
    expect(forwarded(request).kind).to.equal("forward");
  });

  it("answers INVALID_ARGUMENT, with help, when no satellite is named", () => {
    const bench = new GateBench([], { address: { domain: "sat.example" } });
    const answer = bench.gate.admit(
      { id: 1, remoteAddress: "127.0.0.1" },
      [[":authority", "localhost"]],
      new AbortController().signal,
    );
    expect(answer).to.deep.include({ kind: "refuse", status: GrpcStatus.INVALID_ARGUMENT });
    expect(answer).to.have.property("message").that.contains("satellite-name").and.contains("sat.example");
  });

  const hopeless = [
    {
      what: "that failed",
      reason: "ImageNotFound",
      object: satellite({
        status: {
          phase: "Failed",
          conditions: [
            { type: "Awake", status: "False", reason: "Off", message: "", lastTransitionTime: "" },
            {
              type: "Ready",
              status: "False",
              reason: "ImageNotFound",
              message: "no image",
              lastTransitionTime: "",
            },
          ],
        },
      }),
    },
    {
      what: "that is paused",
      reason: "Paused",
      object: satellite({ annotations: { "satellites.dev/paused": "true" } }),
    },
    {
      what: "that is being deleted",
      reason: "Deleting",
      object: awake({ deletionTimestamp: "2026-01-01T00:00:00Z" }),
    },
    {
      what: "whose wakePolicy is Manual",
      reason: "WakePolicyManual",
      object: satellite({ spec: { wakePolicy: "Manual" } }),
    },
  ];
  for (const { what, reason, object } of hopeless) {
    it(`refuses at once, with the reason, for a satellite ${what}`, async () => {
      const bench = new GateBench([object]);
      const request = bench.request();
      await bench.clock.settle();
      expect(refused(request).status).to.equal(GrpcStatus.FAILED_PRECONDITION);
      expect(reasonOf(request)).to.equal(reason);
      expect(bench.server.calls).to.have.length(0);
    });
  }

  it("fails held requests at once when their wake becomes hopeless", async () => {
    const bench = new GateBench([satellite()]);
    const request = bench.request();
    await bench.clock.settle();
    bench.server.deleteNow(KEY);
    await bench.clock.settle();
    expect(refused(request).status).to.equal(GrpcStatus.NOT_FOUND);
  });

  it("still forwards to a paused satellite that is awake", async () => {
    const bench = new GateBench([awake({ annotations: { "satellites.dev/paused": "true" } })]);
    const request = bench.request();
    await bench.clock.settle();
    expect(forwarded(request).kind).to.equal("forward");
  });

  it("fails at once when the API server forbids the wake, and names it", async () => {
    const bench = new GateBench([satellite()]);
    bench.server.before = () => {
      throw forbidden();
    };
    const request = bench.request();
    await bench.clock.settle();
    expect(refused(request).status).to.equal(GrpcStatus.UNAVAILABLE);
    expect(reasonOf(request)).to.equal("KubeForbidden");
  });

  it("names the API server when it did not answer until the deadline", async () => {
    const bench = new GateBench([satellite()]);
    bench.server.before = () => {
      throw unreachable();
    };
    const request = bench.request([["grpc-timeout", "10S"]]);
    await bench.clock.advance(9700);
    expect(request.admission()).to.equal(undefined);
    await bench.clock.advance(300);
    expect(refused(request).status).to.equal(GrpcStatus.UNAVAILABLE);
    expect(reasonOf(request)).to.equal("KubeUnreachable");
  });
});

describe("gate: draining", () => {
  it("acknowledges at once when it has no stream open", async () => {
    const bench = new GateBench([awake()]);
    const request = bench.request();
    await bench.clock.settle();
    forwarded(request).release();
    const before = bench.entry();
    bench.server.change(KEY, (object) => {
      object.spec.desiredPower = "off";
      object.status.power = power("Stopping", { reason: "Draining" });
    });
    await bench.clock.advance(0);
    expect(bench.entry()).to.deep.include({ drainedEpoch: 4, openStreams: 0 });
    expect(bench.entry()?.seq).to.be.greaterThan(before?.seq ?? 0);
  });

  it("acknowledges a deletion too", async () => {
    const bench = new GateBench([awake()]);
    const request = bench.request();
    await bench.clock.settle();
    bench.server.change(KEY, ({ metadata, status }) => {
      metadata.deletionTimestamp = "2026-01-01T00:00:00Z";
      status.power = power("Stopping", { reason: "Deleting" });
    });
    await bench.clock.advance(1000);
    expect(bench.entry()).to.not.have.property("drainedEpoch");
    forwarded(request).release();
    await bench.clock.advance(0);
    expect(bench.entry()).to.include({ openStreams: 0, drainedEpoch: 4 });
  });

  it("has one write under way at a time: a wake waits for the acknowledgement", async () => {
    const bench = new GateBench([awake()]);
    const first = bench.request();
    await bench.clock.settle();
    forwarded(first).release();
    let letThrough = (): void => {};
    bench.server.before = () =>
      new Promise<void>((resolve) => {
        letThrough = resolve;
      });
    bench.server.change(KEY, (object) => {
      object.spec.desiredPower = "off";
      object.status.power = power("Stopping", { reason: "Draining" });
    });
    await bench.clock.advance(0);
    bench.request();
    await bench.clock.settle();
    expect(bench.server.wakeCalls).to.have.length(0);
    letThrough();
    await bench.clock.settle();
    expect(bench.server.wakeCalls).to.have.length(1);
  });

  it("reports its count while streams are open, and acknowledges when the last one ends", async () => {
    const bench = new GateBench([awake()]);
    const requests = [bench.request(), bench.request()];
    await bench.clock.settle();
    bench.server.change(KEY, (object) => {
      object.spec.desiredPower = "off";
      object.status.power = power("Stopping", { reason: "Draining" });
    });
    await bench.clock.advance(1000);
    expect(bench.entry()).to.include({ openStreams: 2 }).and.not.have.property("drainedEpoch");
    forwarded(requests[0]!).release();
    await bench.clock.advance(1000);
    expect(bench.entry()?.openStreams).to.equal(1);
    forwarded(requests[1]!).release();
    await bench.clock.advance(0);
    expect(bench.entry()).to.include({ openStreams: 0, drainedEpoch: 4 });
    const acknowledged = bench.entry();
    await bench.clock.advance(60_000);
    expect(bench.entry(), "one acknowledgement is enough").to.deep.equal(acknowledged);
  });

  it("admits nothing on an epoch that it acknowledged the end of: a new request waits for the next one", async () => {
    const bench = new GateBench([awake()]);
    const first = bench.request();
    await bench.clock.settle();
    forwarded(first).release();
    bench.server.change(KEY, (object) => {
      object.spec.desiredPower = "off";
      object.status.power = power("Stopping", { reason: "Draining" });
    });
    await bench.clock.advance(0);
    const late = bench.request();
    await bench.clock.advance(5000);
    expect(late.admission()).to.equal(undefined);
    expect(bench.entry()?.drainedEpoch).to.equal(4);
    bench.server.change(KEY, ({ status }) => {
      status.power = power("Running", { epoch: 5 });
    });
    await bench.clock.settle();
    expect(forwarded(late).upstream.epoch).to.equal(5);
  });

  it("acknowledges for the entry that it wrote before a restart", async () => {
    const entry = { seq: 9, validSeconds: 1800, openStreams: 3, time: "2026-01-01T00:00:00Z" };
    const bench = new GateBench([awake({ status: { activity: { [ROUTER]: entry } } })]);
    bench.server.change(KEY, (object) => {
      object.spec.desiredPower = "off";
      object.status.power = power("Stopping", { reason: "Draining" });
    });
    await bench.clock.advance(0);
    expect(bench.entry()).to.include({ openStreams: 0, drainedEpoch: 4 });
    expect(bench.entry()?.seq).not.to.equal(9);
  });

  it("tries its acknowledgement again until the API server takes it", async () => {
    const bench = new GateBench([awake()]);
    const request = bench.request();
    await bench.clock.settle();
    forwarded(request).release();
    bench.server.before = () => {
      throw unreachable();
    };
    bench.server.change(KEY, (object) => {
      object.spec.desiredPower = "off";
      object.status.power = power("Stopping", { reason: "Draining" });
    });
    await bench.clock.advance(1000);
    expect(bench.entry()).to.not.have.property("drainedEpoch");
    bench.server.before = () => {};
    await bench.clock.advance(10_000);
    expect(bench.entry()).to.include({ drainedEpoch: 4 });
  });
});

describe("gate: a VM that does not answer", () => {
  it("lets nothing through to a VM that failed until it answers a probe", async () => {
    const bench = new GateBench([awake()]);
    const first = bench.request();
    await bench.clock.settle();
    const { upstream } = forwarded(first);
    forwarded(first).release();
    bench.gate.upstreamFailed(upstream, new Error("refused"));
    const second = bench.request();
    await bench.clock.settle();
    expect(second.admission()).to.equal(undefined);
    expect(bench.prober.running).to.have.length(1);
    bench.prober.running[0]?.answer();
    await bench.clock.settle();
    expect(forwarded(second).upstream).to.deep.equal(upstream);
  });

  it("gives up on it after a while, with the reason", async () => {
    const bench = new GateBench([awake()]);
    const first = bench.request();
    await bench.clock.settle();
    bench.gate.upstreamFailed(forwarded(first).upstream, new Error("refused"));
    const second = bench.request();
    await bench.clock.advance(29_999);
    expect(second.admission()).to.equal(undefined);
    await bench.clock.advance(1);
    expect(refused(second).status).to.equal(GrpcStatus.UNAVAILABLE);
    expect(reasonOf(second)).to.equal("VMUnreachable");
  });

  it("is not held up by it once the operator started the next epoch", async () => {
    const bench = new GateBench([awake()]);
    const first = bench.request();
    await bench.clock.settle();
    bench.gate.upstreamFailed(forwarded(first).upstream, new Error("refused"));
    const second = bench.request();
    await bench.clock.settle();
    bench.server.change(KEY, ({ status }) => {
      status.power = power("Running", { epoch: 5 });
    });
    await bench.clock.settle();
    expect(forwarded(second).upstream.epoch).to.equal(5);
  });
});

describe("gate: another satellite of the same name", () => {
  it("is not taken for the one before, although its epochs are the same", async () => {
    const bench = new GateBench([satellite()]);
    const first = bench.request();
    await bench.clock.settle();
    startAccepted(bench);
    await bench.clock.settle();
    bench.prober.running[0]?.answer();
    await bench.clock.settle();
    expect(forwarded(first).upstream.epoch).to.equal(4);
    bench.server.deleteNow(KEY);
    bench.server.put(awake({ uid: "uid-other", status: { phase: "Waking", power: power("Starting") } }));
    const second = bench.request();
    await bench.clock.settle();
    expect(second.admission()).to.equal(undefined);
    expect(bench.prober.running.length).to.be.greaterThan(0);
  });
});

describe("gate: two routers", () => {
  it("wake once between them, and hold a lease each", async () => {
    const one = new GateBench([satellite()]);
    const two = new GateBench([], { server: one.server, router: "router-1" });
    const requests = [one.request(), two.request()];
    await one.clock.settle();
    await two.clock.settle();
    runs(one);
    await one.clock.settle();
    for (const request of requests) {
      expect(forwarded(request).upstream.epoch).to.equal(4);
    }
    expect(one.server.read(KEY).metadata.generation, "one change of the wish").to.equal(2);
    expect(Object.keys(one.server.read(KEY).status.activity).toSorted()).to.deep.equal([ROUTER, "router-1"]);
  });
});

describe("gate: the router ends", () => {
  const LIMIT_MS = 10_000;

  async function leased(): Promise<{ bench: GateBench; request: TestRequest }> {
    const bench = new GateBench([awake()]);
    const request = bench.request();
    await bench.clock.settle();
    return { bench, request };
  }

  /** Whether the withdrawal has come to its end, once there is one. */
  function ending(bench: GateBench): () => boolean {
    let ended = false;
    bench.gate.close();
    void bench.gate.withdraw(LIMIT_MS).then(() => {
      ended = true;
      return ended;
    });
    return () => ended;
  }

  it("withdraws its lease, and admits nothing under it any more", async () => {
    const { bench, request } = await leased();
    forwarded(request).release();
    const ended = ending(bench);
    await bench.clock.settle();
    expect(ended()).to.equal(true);
    expect(bench.entry()).to.equal(undefined);
    expect(reasonOf(bench.request())).to.equal("RouterStopping");
    expect(bench.clock.pendingTimers).to.equal(0);
  });

  it("withdraws it only once no stream is open", async () => {
    const { bench, request } = await leased();
    const ended = ending(bench);
    await bench.clock.settle();
    expect(bench.entry()).to.not.equal(undefined);
    forwarded(request).release();
    await bench.clock.settle();
    expect(ended()).to.equal(true);
    expect(bench.entry()).to.equal(undefined);
  });

  it("leaves the lease of another process of its name alone", async () => {
    const { bench, request } = await leased();
    forwarded(request).release();
    bench.server.change(KEY, ({ status }) => {
      status.activity[ROUTER] = { seq: 7, validSeconds: 1800, openStreams: 1, time: "2026-01-01T00:00:00Z" };
    });
    const ended = ending(bench);
    await bench.clock.settle();
    expect(ended()).to.equal(true);
    expect(bench.entry()?.seq).to.equal(7);
  });

  it("does not remove what another process of its name writes meanwhile", async () => {
    const { bench, request } = await leased();
    forwarded(request).release();
    bench.server.before = ({ operations }) => {
      if (operations.some(({ op }) => op === "remove")) {
        bench.server.change(KEY, ({ status }) => {
          status.activity[ROUTER] = {
            seq: 7,
            validSeconds: 1800,
            openStreams: 1,
            time: "2026-01-01T00:00:00Z",
          };
        });
      }
    };
    const ended = ending(bench);
    await bench.clock.advance(1000);
    expect(ended()).to.equal(true);
    expect(bench.entry()?.seq).to.equal(7);
  });

  it("finds a lease whose answer was lost", async () => {
    const bench = new GateBench([awake()]);
    bench.disconnect();
    bench.server.after = () => {
      throw unreachable();
    };
    const request = bench.request();
    await bench.clock.settle();
    request.cancel();
    expect(bench.entry()).to.not.equal(undefined);
    bench.server.after = () => {};
    const ended = ending(bench);
    await bench.clock.advance(1000);
    expect(ended()).to.equal(true);
    expect(bench.entry()).to.equal(undefined);
  });

  it("tries until the API server answers", async () => {
    const { bench, request } = await leased();
    forwarded(request).release();
    bench.server.before = () => {
      throw unreachable();
    };
    const ended = ending(bench);
    await bench.clock.advance(3000);
    expect(ended()).to.equal(false);
    bench.server.before = () => {};
    await bench.clock.advance(5000);
    expect(ended()).to.equal(true);
    expect(bench.entry()).to.equal(undefined);
  });

  it("does not try again where the router's rights are gone, as when the chart is uninstalled", async () => {
    const { bench, request } = await leased();
    forwarded(request).release();
    const before = bench.server.calls.length;
    bench.server.before = () => {
      throw forbidden();
    };
    const ended = ending(bench);
    await bench.clock.settle();
    expect(ended()).to.equal(true);
    expect(bench.server.calls.length - before).to.equal(1);
    expect(bench.clock.pendingTimers).to.equal(0);
  });

  it("ends all the same when the API server does not answer in time, and not before", async () => {
    const { bench, request } = await leased();
    forwarded(request).release();
    bench.server.before = () => new Promise<void>(() => {});
    const ended = ending(bench);
    await bench.clock.advance(LIMIT_MS - 1);
    expect(ended()).to.equal(false);
    await bench.clock.advance(1);
    expect(ended()).to.equal(true);
  });
});

describe("gate: a method that neither wakes nor keeps awake", () => {
  const PATH = "/moby.buildkit.v1.Control/ListWorkers";
  const POLLED = { gate: { noWakeMethods: [PATH, "/grpc.reflection.v1.ServerReflection/"] } };

  it("is refused while the satellite is not awake, and wakes nothing", async () => {
    const bench = new GateBench([satellite()], POLLED);
    const request = bench.request([], PATH);
    await bench.clock.settle();
    expect(refused(request).status).to.equal(GrpcStatus.UNAVAILABLE);
    expect(reasonOf(request)).to.equal("NotAwake");
    expect(bench.server.calls).to.have.length(0);
  });

  it("hears why where no waiting helps", async () => {
    const bench = new GateBench([satellite({ spec: { wakePolicy: "Manual" } })], POLLED);
    const request = bench.request([], PATH);
    await bench.clock.settle();
    expect(reasonOf(request)).to.equal("WakePolicyManual");
  });

  it("is forwarded while the satellite is awake, without a lease", async () => {
    const bench = new GateBench([awake()], POLLED);
    const request = bench.request([], "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    await bench.clock.settle();
    expect(forwarded(request).upstream.epoch).to.equal(4);
    forwarded(request).release();
    expect(bench.server.statusCalls).to.have.length(0);
    expect(await bench.metric("satellites_router_streams_open")).to.equal(0);
  });

  it("leaves no mark however long it polls, beside calls that do", async () => {
    const bench = new GateBench([awake({ spec: { idleTimeout: "90s" } })], POLLED);
    const used = bench.request();
    await bench.clock.settle();
    forwarded(used).release();
    await bench.clock.advance(10_000);
    const before = bench.entry();
    for (let poll = 0; poll < 30; poll++) {
      const request = bench.request([], PATH);
      await bench.clock.settle();
      forwarded(request).release();
      await bench.clock.advance(10_000);
    }
    expect(bench.entry()).to.deep.equal(before);
  });

  it("asks the API server first where no lease is live: what is known may be of the past", async () => {
    const bench = new GateBench([awake()], POLLED);
    bench.disconnect();
    bench.server.change(KEY, ({ spec, status }) => {
      spec.desiredPower = "off";
      status.power = power("Stopping");
    });
    const request = bench.request([], PATH);
    await bench.clock.settle();
    expect(reasonOf(request)).to.equal("NotAwake");
  });

  it("asks it once for many polls, and again after a second", async () => {
    const bench = new GateBench([awake()], POLLED);
    for (let poll = 0; poll < 100; poll++) {
      bench.request([], PATH);
    }
    await bench.clock.advance(999);
    bench.request([], PATH);
    expect(bench.server.calls).to.have.length(1);
    await bench.clock.advance(1);
    bench.request([], PATH);
    await bench.clock.settle();
    expect(bench.server.calls).to.have.length(2);
  });

  it("says so where the API server does not answer", async () => {
    const bench = new GateBench([awake()], POLLED);
    bench.server.before = () => {
      throw unreachable();
    };
    const request = bench.request([], PATH);
    await bench.clock.settle();
    expect(reasonOf(request)).to.equal("KubeUnreachable");
  });

  it("does not hold up a drain", async () => {
    const bench = new GateBench([awake()], POLLED);
    const used = bench.request();
    await bench.clock.settle();
    const polled = bench.request([], PATH);
    expect(forwarded(polled).kind).to.equal("forward");
    forwarded(used).release();
    bench.server.change(KEY, ({ spec, status }) => {
      spec.desiredPower = "off";
      status.power = power("Stopping", { reason: "Draining" });
    });
    await bench.clock.advance(0);
    expect(bench.entry()?.drainedEpoch).to.equal(4);
  });
});
