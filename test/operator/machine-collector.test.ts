import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import { ownerTags, Tag } from "../../src/machines/tags.ts";
import { createOperatorMetrics } from "../../src/operator/metrics.ts";
import { machineCollector } from "../../src/operator/machine-collector.ts";
import { defaultSettings } from "../../src/operator/settings.ts";
import { SATELLITES } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { CLUSTER, machine, satellite } from "./fixtures.ts";
import { ObjectStore } from "./object-store.ts";
import { ScriptedCloud } from "./scripted-cloud.ts";

const MINUTE = 60_000;

/** Machines, satellites and a collector that is shown a complete list every minute. */
class Survey {
  readonly clock = new VirtualClock();
  readonly store = new ObjectStore();
  readonly cloud = new ScriptedCloud(this.clock);
  readonly registry = new Registry();
  readonly announced: string[] = [];
  leads = true;
  judges = (_namespace: string): boolean => true;
  cached: Satellite[] = [];
  readonly #collector = machineCollector({
    client: this.store,
    cluster: CLUSTER,
    clock: this.clock,
    logger: silentLogger,
    metrics: createOperatorMetrics(this.registry, () => []),
    settings: defaultSettings,
    judges: (namespace) => this.judges(namespace),
    assertLeading: () => {
      if (!this.leads) {
        throw new Error("not the leader");
      }
    },
    announce: ({ metadata }, { reason }) => this.announced.push(`${metadata.name}: ${reason}`),
  });

  /** A machine in use, and the satellite that uses it. */
  constructor() {
    this.cached = [this.store.put(SATELLITES, satellite({ status: { machine: { id: "i-1" } } }))];
    this.cloud.machines.set("i-1", machine());
  }

  async run(minutes: number): Promise<void> {
    for (let minute = 0; minute < minutes; minute++) {
      const listing = new Map((await this.cloud.list()).map((found) => [found, this.cloud]));
      await this.#collector.collect(listing, this.cached);
      await this.clock.advance(MINUTE);
    }
  }

  get changes(): string[] {
    return this.cloud.calls.filter((call) => /^(tag|stop|terminate)/.test(call));
  }
}

const lost = (): ReturnType<typeof machine> =>
  machine({
    id: "i-lost",
    tags: ownerTags(CLUSTER, { namespace: "team-a", name: "gone", uid: "uid-gone" }),
  });

describe("orphan collection", () => {
  it("tags, stops, and after a week terminates a machine that nobody owns, and touches no other", async () => {
    const survey = new Survey();
    survey.cloud.machines.set("i-lost", lost());
    await survey.run(2);
    expect(survey.changes).to.deep.equal([]);
    await survey.run(1);
    expect(survey.changes).to.deep.equal(["tag i-lost", "stop i-lost"]);
    expect(await survey.registry.metrics()).to.include("satellites_orphaned_machines 1");
    await survey.run(7 * 24 * 60 - 5);
    expect(survey.changes).to.have.length(2);
    await survey.run(10);
    expect(survey.changes.slice(2)).to.deep.equal(["terminate i-lost"]);
    expect(survey.cloud.machines.get("i-1")?.state).to.equal("running");
  });

  it("believes the API server, not a cache that lags", async () => {
    const survey = new Survey();
    survey.cloud.machines.set("i-lost", lost());
    survey.store.put(SATELLITES, satellite({ name: "gone" }));
    await survey.run(60);
    expect(survey.changes).to.deep.equal([]);
  });

  it("lets a machine be that a satellite took up again", async () => {
    const survey = new Survey();
    survey.cloud.machines.set("i-lost", lost());
    await survey.run(15);
    const back = satellite({ name: "gone", uid: "uid-new", status: { machine: { id: "i-lost" } } });
    survey.cached.push(survey.store.put(SATELLITES, back));
    await survey.run(25 * 60);
    expect(survey.changes).to.deep.equal(["tag i-lost", "stop i-lost", "tag i-lost"]);
    expect(survey.cloud.machines.get("i-lost")?.tags[Tag.orphanedAt]).to.equal("");
  });

  it("keeps a machine that its satellite does not use aside, with its memory, and says so", async () => {
    const survey = new Survey();
    survey.cloud.machines.set("i-2", machine({ id: "i-2" }));
    await survey.run(60);
    expect(survey.changes).to.deep.equal(["tag i-2", "stop i-2"]);
    expect([...survey.cloud.hibernated]).to.deep.equal(["i-2"]);
    expect(survey.announced).to.deep.equal(["ada: MachineKeptAside"]);
    await survey.run(7 * 24 * 60);
    expect(survey.changes.slice(2)).to.deep.equal(["terminate i-2"]);
    expect(survey.announced.slice(1)).to.deep.equal(["ada: MachineKeptAsideEnded"]);
  });

  it("stops a machine that cannot hibernate, too", async () => {
    const survey = new Survey();
    survey.cloud.machines.set("i-2", machine({ id: "i-2" }));
    survey.cloud.fail("stop", "hibernation-unsupported", 1);
    await survey.run(3);
    expect(survey.cloud.machines.get("i-2")?.state).to.equal("stopped");
  });

  it("is not kept from one machine by another that is protected", async () => {
    const survey = new Survey();
    survey.cloud.machines.set("i-2", machine({ id: "i-2" }));
    survey.cloud.machines.set("i-3", machine({ id: "i-3" }));
    survey.cloud.fail("stop", "protection", Infinity, { only: (found) => found?.id === "i-2" });
    await survey.run(3).catch(() => undefined);
    expect(survey.cloud.calls).to.include("stop i-3");
  });

  it("leaves what bears another operator's namespace as it is, marked or not, and counts it not", async () => {
    const survey = new Survey();
    survey.judges = (namespace) => namespace !== "team-a";
    survey.cloud.machines.set("i-lost", lost());
    const marked = { ...ownerTags(CLUSTER, { namespace: "team-a", name: "ada", uid: "uid-ada" }) };
    survey.cloud.machines.set(
      "i-1",
      machine({ tags: { ...marked, [Tag.orphanedAt]: "2025-01-01T00:00:00Z" } }),
    );
    await survey.run(60);
    expect(survey.changes).to.deep.equal([]);
    expect(await survey.registry.metrics()).to.include("satellites_orphaned_machines 0");
    survey.judges = () => true;
    await survey.run(3);
    expect(survey.changes).to.deep.equal(["tag i-1", "tag i-lost", "stop i-lost"]);
  });

  it("stops in the middle where a namespace becomes another operator's", async () => {
    const survey = new Survey();
    survey.cloud.machines.set("i-lost", lost());
    survey.judges = () => !survey.changes.includes("tag i-lost");
    await survey.run(3);
    expect(survey.changes).to.deep.equal(["tag i-lost"]);
  });

  it("does nothing in an operator that does not lead", async () => {
    const survey = new Survey();
    survey.cloud.machines.set("i-2", machine({ id: "i-2" }));
    await survey.run(1);
    survey.leads = false;
    const outcome = await survey.run(1).then(
      () => "done",
      (error: unknown) => String(error),
    );
    expect(outcome).to.include("not the leader");
    expect(survey.changes).to.deep.equal([]);
  });
});
