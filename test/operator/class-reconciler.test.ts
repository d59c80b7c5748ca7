import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import type { Announcement } from "../../src/operator/action.ts";
import { createOperatorMetrics } from "../../src/operator/metrics.ts";
import { ClassReconciler } from "../../src/operator/class-reconciler.ts";
import { CLASS_FINALIZER, SATELLITE_CLASSES, SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../../src/satellite/types.ts";
import { CollectingLogger } from "../support/collecting-logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { satellite, satelliteClass } from "./fixtures.ts";
import { ObjectStore } from "./object-store.ts";
import { ScriptedCloud } from "./scripted-cloud.ts";

const KEY = { name: "default" };

/** A class, its users, and the reconciler that looks after it. */
class ClassWorld {
  readonly clock = new VirtualClock();
  readonly store = new ObjectStore();
  readonly cloud = new ScriptedCloud(this.clock);
  /** What the operator's cache shows; the store may know better. */
  cached: Satellite[] = [];
  readonly events: Announcement[] = [];
  readonly logger = new CollectingLogger();
  readonly #reconciler: ClassReconciler;

  constructor() {
    const { metadata, ...rest } = satelliteClass();
    this.store.put(SATELLITE_CLASSES, { ...rest, metadata: { ...metadata, finalizers: [] } });
    this.#reconciler = new ClassReconciler({
      client: this.store,
      classes: { get: () => this.found, upsert: () => {} },
      usersOf: () => this.cached,
      cloudOf: () => this.cloud,
      announce: (_satelliteClass, announcement) => this.events.push(announcement),
      metrics: createOperatorMetrics(new Registry(), () => []),
      assertLeading: () => {},
      clock: this.clock,
      logger: this.logger,
      resyncMs: 600_000,
    });
  }

  get found(): SatelliteClass | undefined {
    return this.store.find(SATELLITE_CLASSES, KEY) as SatelliteClass | undefined;
  }

  get ready(): unknown {
    return this.condition("Ready");
  }

  condition(wanted: string): unknown {
    return this.found?.status?.conditions?.find(({ type }) => type === wanted);
  }

  use(...names: string[]): void {
    this.cached = names.map((name) => this.store.put(SATELLITES, satellite({ name })));
  }

  /** Reconciles until it asks for time. Returns how long it wants to wait. */
  async settle(): Promise<number> {
    for (;;) {
      const result = await this.#reconciler.reconcile("default");
      if (result?.requeueAfterMs !== 0) {
        return result?.requeueAfterMs ?? Infinity;
      }
    }
  }
}

describe("a SatelliteClass", () => {
  it("says what it comes to, and is looked at again on a schedule", async () => {
    const world = new ClassWorld();
    expect(await world.settle()).to.equal(600_000);
    expect(world.ready).to.include({ status: "True", reason: "Resolved" });
    expect(world.found?.status?.resolved).to.deep.equal({ images: { amd64: "image-1" } });
    world.cloud.facts = { ...world.cloud.facts, images: { amd64: "image-2" } };
    await world.settle();
    expect(world.found?.status?.resolved?.images).to.deep.equal({ amd64: "image-2" });
  });

  it("shows how large its machines' own disks are, by which their cost is shown, also where it is wrong", async () => {
    const world = new ClassWorld();
    world.cloud.fail("inspect", "parameter", 1);
    await world.settle();
    expect(world.ready).to.include({ status: "False" });
    expect(world.found?.status?.diskGiB).to.equal(40);
  });

  it("is looked into anew when somebody has edited it, and not again until the next edit", async () => {
    const world = new ClassWorld();
    await world.settle();
    await world.settle();
    expect(world.cloud.freshInspections).to.equal(1);
    world.store.edit<SatelliteClass>(SATELLITE_CLASSES, KEY, ({ spec }) => {
      spec.defaultSize = "small";
    });
    await world.settle();
    await world.settle();
    expect(world.cloud.freshInspections).to.equal(2);
  });

  it("is not written again when nothing changed", async () => {
    const world = new ClassWorld();
    await world.settle();
    const { patches } = world.store;
    await world.settle();
    expect(world.store.patches).to.equal(patches);
  });

  it("is not ready when a parameter is wrong, and what it came to before is not shown any more", async () => {
    const world = new ClassWorld();
    await world.settle();
    world.cloud.fail("inspect", "parameter", 1);
    expect(await world.settle()).to.equal(60_000);
    expect(world.ready).to.include({ status: "False", reason: "InvalidClass" });
    expect(world.found?.status?.resolved).to.equal(undefined);
    await world.settle();
    expect(world.ready).to.include({ status: "True" });
  });

  it("is of unknown readiness while the cloud does not answer, and keeps what was found before", async () => {
    const world = new ClassWorld();
    await world.settle();
    world.cloud.fail("inspect", "server", 1);
    await world.settle();
    expect(world.ready).to.include({ status: "Unknown", reason: "CloudUnavailable" });
    expect(world.found?.status?.resolved?.images).to.deep.equal({ amd64: "image-1" });
  });

  it("shows what the cloud says of its own, as it is", async () => {
    const world = new ClassWorld();
    world.cloud.facts = { ...world.cloud.facts, details: { racks: ["rack-1", "rack-2"] } };
    expect(await world.settle()).to.equal(600_000);
    expect(world.ready).to.include({ status: "True", reason: "Resolved" });
    expect(world.found?.status?.resolved).to.deep.equal({
      images: { amd64: "image-1" },
      racks: ["rack-1", "rack-2"],
    });
  });

  it("says so, in its condition, an event and the log, when what it comes to cannot be stored", async () => {
    const world = new ClassWorld();
    world.cloud.facts = { ...world.cloud.facts, images: { amd64: "image-".padEnd(65, "1") } };
    expect(await world.settle()).to.equal(60_000);
    expect(world.ready).to.include({ status: "False", reason: "WriteRejected" });
    expect(world.ready).to.have.property("message").that.includes("status.resolved.images");
    expect(world.events.map(({ reason }) => reason)).to.deep.equal(["WriteRejected"]);
    expect(world.logger.lines.map(({ level }) => level)).to.include("error");
    expect(await world.settle()).to.equal(60_000);
    expect(world.events).to.have.length(1);
  });

  it("is not ready when no type is left for any architecture", async () => {
    const world = new ClassWorld();
    world.cloud.facts = { ...world.cloud.facts, architectures: [] };
    await world.settle();
    expect(world.ready).to.include({ status: "False", reason: "NoTypeAvailable" });
    expect(world.condition("Stalled")).to.include({ status: "True", reason: "NoTypeAvailable" });
    world.cloud.facts = { ...world.cloud.facts, architectures: ["amd64"] };
    await world.settle();
    expect(world.condition("Stalled")).to.include({ status: "False", reason: "Resolved" });
  });

  it("is kept while satellites use it, says which, and goes with the last of them", async () => {
    const world = new ClassWorld();
    world.use("a", "b", "c", "d", "e", "f", "g");
    await world.settle();
    expect(world.found?.metadata.finalizers).to.deep.equal([CLASS_FINALIZER]);
    await world.store.delete(SATELLITE_CLASSES, KEY);
    await world.settle();
    expect(world.ready).to.include({ status: "False", reason: "InUse" });
    expect(world.ready).to.have.property("message").that.includes("team-a/a").and.includes("and 2 more");
    world.cached = [];
    await world.settle();
    expect(world.found, "the cache lags behind the store").not.to.equal(undefined);
    for (const name of ["a", "b", "c", "d", "e", "f", "g"]) {
      world.store.edit<Satellite>(SATELLITES, { namespace: "team-a", name }, ({ metadata }) => {
        metadata.deletionTimestamp = "2026-01-01T00:00:00Z";
        metadata.finalizers = [];
      });
    }
    await world.settle();
    expect(world.found).to.equal(undefined);
  });

  it("that nobody uses can be deleted at once", async () => {
    const world = new ClassWorld();
    await world.settle();
    await world.store.delete(SATELLITE_CLASSES, KEY);
    expect(world.found).to.equal(undefined);
  });
});
