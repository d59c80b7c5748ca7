import { expect } from "chai";
import { AwakeQuota } from "../../src/operator/awake-quota.ts";
import { SATELLITE_INDEXES } from "../../src/operator/satellite-indexes.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { satellite, satelliteClass } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;

const awake = (name: string, namespace = "team-a"): Satellite =>
  satellite({ name, namespace, status: { power: { state: "Running", epoch: 1, accepted: true, fence: 0 } } });

/** Off and wanted on, since so many seconds after midnight. */
const waiting = (name: string, second: number, init: Parameters<typeof satellite>[0] = {}): Satellite =>
  satellite({
    name,
    ...init,
    status: {
      observedGeneration: 1,
      unready: { since: `2026-01-01T00:00:${String(second).padStart(2, "0")}Z` },
      ...init.status,
    },
  });

function quota(...satellites: Satellite[]): { admits(wanting: Satellite): boolean } {
  const book = new AwakeQuota(
    new VirtualClock(),
    () => satellites,
    () => [],
  );
  return {
    admits: (wanting) =>
      book.admit(wanting, satelliteClass({ maxAwake: { perNamespace: 2, total: 3 } })) === undefined,
  };
}

describe("the limit of satellites awake", () => {
  it("counts those of the same class, in every state but off", () => {
    const other = { ...awake("x"), spec: { ...awake("x").spec, className: "other" } };
    expect(quota(awake("a"), other).admits(waiting("z", 1))).to.equal(true);
    expect(quota(awake("a"), awake("b")).admits(waiting("z", 1))).to.equal(false);
    const stopping = satellite({
      name: "b",
      status: { power: { state: "Stopping", epoch: 1, accepted: true, fence: 0 } },
    });
    expect(quota(awake("a"), stopping).admits(waiting("z", 1))).to.equal(false);
  });

  it("counts over all namespaces too", () => {
    const three = [awake("a"), awake("b", "team-b"), awake("c", "team-c")];
    expect(quota(...three).admits(waiting("z", 1, { namespace: "team-d" }))).to.equal(false);
    expect(quota(...three.slice(1)).admits(waiting("z", 1, { namespace: "team-d" }))).to.equal(true);
  });

  it("lets the oldest go first", () => {
    const [old, young] = [waiting("old", 1), waiting("young", 2)];
    expect(quota(awake("a"), old, young).admits(young)).to.equal(false);
    expect(quota(awake("a"), old, young).admits(old)).to.equal(true);
  });

  it("does not let one namespace that is full hold up another", () => {
    const full = [awake("a"), awake("b"), waiting("c", 1), waiting("d", 2)];
    expect(quota(...full).admits(waiting("z", 9, { namespace: "team-b" }))).to.equal(true);
  });

  it("does not wait for those that cannot go: failed, paused, being deleted", () => {
    const stuck = [
      waiting("b", 1, { status: { unready: { since: "2026-01-01T00:00:01Z", needsPerson: true } } }),
      waiting("c", 1, { annotations: { "satellites.dev/paused": "true" } }),
      waiting("d", 1, { deletionTimestamp: "2026-01-01T00:00:00Z" }),
    ];
    expect(quota(awake("a"), ...stuck).admits(waiting("z", 9))).to.equal(true);
  });

  it("is counted without looking at those that sleep", () => {
    const sleeping = satellite({ name: "s", spec: { desiredPower: "off" } });
    const draining = satellite({
      name: "d",
      spec: { desiredPower: "off" },
      status: { power: { state: "Stopping", epoch: 1, accepted: true, fence: 0 } },
    });
    const { contenders } = SATELLITE_INDEXES;
    expect(contenders(sleeping)).to.deep.equal([]);
    expect([awake("a"), waiting("w", 1), draining].map(contenders)).to.deep.equal(
      Array.from({ length: 3 }, () => ["default"]),
    );
  });

  it("gives a place to one only of two that ask before either is shown as starting", () => {
    const [young, old] = [waiting("young", 2), waiting("old", 1)];
    const satellites = [awake("a"), young];
    const book = new AwakeQuota(
      new VirtualClock(),
      () => satellites,
      () => [],
    );
    const limited = satelliteClass({ maxAwake: { perNamespace: 2 } });
    expect(book.admit(young, limited)).to.equal(undefined);
    satellites.push(old);
    expect(book.admit(old, limited)).to.include({ reason: "AwakeLimitReached" });
  });

  it("counts machines that run and that no satellite names", () => {
    const tags = { "satellites.dev/namespace": "team-a" };
    const left = ["i-1", "i-2"].map((id) => ({ id, tags }));
    const book = new AwakeQuota(
      new VirtualClock(),
      () => [],
      () => left,
    );
    const limited = satelliteClass({ maxAwake: { perNamespace: 2, total: 3 } });
    expect(book.admit(waiting("z", 1), limited)).to.include({ reason: "AwakeLimitReached" });
    expect(book.admit(waiting("z", 1, { namespace: "team-b" }), limited)).to.equal(undefined);
    left.push({ id: "i-3", tags });
    expect(book.admit(waiting("y", 1, { namespace: "team-b" }), limited)).to.include({
      reason: "AwakeLimitReached",
    });
  });

  it("cannot be passed by taking the finalizer off", async () => {
    const limited = satelliteClass({ maxAwake: { perNamespace: 1 } });
    const world = new World({ satelliteClass: limited, satellites: [satellite()] });
    await world.run(MINUTE);
    world.edit(({ metadata }) => {
      metadata.finalizers = [];
      metadata.deletionTimestamp = "2026-01-01T00:01:00Z";
    });
    expect(world.exists()).to.equal(false);
    await world.dependencies.listMachines();
    world.add(satellite({ name: "bob" }));
    await world.run(MINUTE);
    expect(world.condition("Ready", "bob")).to.include({ status: "False", reason: "AwakeLimitReached" });
    expect(world.cloud.count("launch")).to.equal(1);
    await world.cloud.stop("i-1", { hibernate: true, force: false });
    await world.clock.advance(MINUTE);
    await world.dependencies.listMachines();
    await world.run(MINUTE);
    expect(world.satellite("bob").status.phase).to.equal("Running");
  });

  it("is shown on the one that waits, which wakes when another sleeps", async () => {
    const limited = satelliteClass({ maxAwake: { perNamespace: 1 } });
    const world = new World({
      satelliteClass: limited,
      satellites: [satellite(), satellite({ name: "bob" })],
    });
    await world.run(MINUTE);
    expect(world.satellite("ada").status.phase).to.equal("Running");
    expect(world.condition("Ready", "bob")).to.include({ status: "False", reason: "AwakeLimitReached" });
    expect(world.condition("Ready", "bob")?.message).to.include("spec.maxAwake.perNamespace");
    expect(world.cloud.count("launch")).to.equal(1);
    world.setPower("off", "ada");
    await world.run(MINUTE);
    expect(world.satellite("bob").status.phase).to.equal("Running");
    world.setPower("on", "ada");
    await world.run(MINUTE);
    expect(world.condition("Ready", "ada")).to.include({ reason: "AwakeLimitReached" });
    expect(world.cloud.count("start")).to.equal(0);
  });
});
