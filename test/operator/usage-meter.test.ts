import { expect } from "chai";
import { Registry } from "@prometheus-io/client";
import { ObjectCache } from "../../src/kube/cache.ts";
import { UsageMeter } from "../../src/operator/usage-meter.ts";
import type { PowerState } from "../../src/satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../../src/satellite/types.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { satellite, satelliteClass } from "./fixtures.ts";
import { MemoryCloud, memoryPool } from "./memory-cloud.ts";

const HOUR_MS = 3_600_000;
const PRICES = { currency: "USD", perHour: { "t3.small": "0.02" }, perGiBMonth: "0.073" };

describe("the meter of satellites' use", () => {
  let clock: VirtualClock;
  let registry: Registry;
  let satellites: ObjectCache<Satellite>;
  let classes: ObjectCache<SatelliteClass>;
  let meter: UsageMeter;
  let version: number;

  beforeEach(() => {
    version = 1;
    clock = new VirtualClock();
    const clouds = memoryPool(new MemoryCloud(clock));
    registry = new Registry();
    satellites = new ObjectCache({ clock, logger: silentLogger });
    classes = new ObjectCache({ clock, logger: silentLogger });
    meter = new UsageMeter({ clock, registry, maxPairs: 3 });
    meter.follow({ satellites, classes, cloudOf: ({ spec }) => clouds.of(spec) });
    putClass(PRICES);
    meter.begin();
  });

  function putClass(prices: SatelliteClass["spec"]["prices"]): void {
    const made = satelliteClass();
    version += 1;
    classes.upsert({
      ...made,
      metadata: { ...made.metadata, resourceVersion: String(version) },
      spec: { ...made.spec, ...(prices === undefined ? {} : { prices }) },
    });
  }

  /** The satellite enters that state of power, on a machine with 100 GiB. */
  function put(
    state: PowerState,
    epoch: number,
    change: {
      name?: string;
      namespace?: string;
      spec?: object;
      type?: string;
      accepted?: boolean;
      uid?: string;
      buildkit?: NonNullable<Satellite["status"]["machine"]>["buildkit"];
    } = {},
  ): void {
    const {
      name = "ada",
      namespace = "team-a",
      spec = {},
      type = "t3.small",
      accepted = true,
      uid,
      buildkit,
    } = change;
    const made = satellite({
      name,
      namespace,
      spec,
      ...(uid === undefined ? {} : { uid }),
      status: {
        power: { state, epoch, accepted, fence: 0, since: clock.now().toISOString() },
        machine: { id: "i-1", type, ...(buildkit === undefined ? {} : { buildkit }) },
        launch: { attempt: 1, token: "t", details: { diskGiB: "60" } },
        volume: { id: "vol-1", attempt: 1, zone: "a", sizeGiB: 40 },
      },
    });
    version += 1;
    satellites.upsert({ ...made, metadata: { ...made.metadata, resourceVersion: String(version) } });
  }

  /** All values of a metric, as "label,label: value". */
  async function read(name: string): Promise<string[]> {
    await registry.metrics();
    const { values } = (await registry.getSingleMetric(name)?.get()) ?? { values: [] };
    return values.map(({ labels, value }) => `${Object.values(labels).join()}: ${Number(value.toFixed(6))}`);
  }

  it("counts seconds awake and asleep between changes, however seldom it is asked", async () => {
    put("Running", 1);
    await clock.advance(20_000);
    put("Stopping", 1);
    await clock.advance(10_000);
    put("Off", 1);
    await clock.advance(HOUR_MS);
    put("Starting", 2);
    await clock.advance(5_000);
    expect(await read("satellites_state_seconds_total")).to.have.members([
      "team-a,default,awake: 35",
      "team-a,default,asleep: 3600",
    ]);
    expect(await read("satellites_starts_total")).to.deep.equal(["team-a,default: 1"]);
  });

  it("counts nothing for a satellite without a machine, and sleep until a start is accepted", async () => {
    satellites.upsert(
      satellite({ status: { power: { state: "Starting", epoch: 1, accepted: false, fence: 0 } } }),
    );
    await clock.advance(10_000);
    expect(await read("satellites_state_seconds_total")).to.deep.equal([]);
    put("Starting", 1, { accepted: false });
    await clock.advance(10_000);
    expect(await read("satellites_state_seconds_total")).to.deep.equal(["team-a,default,asleep: 10"]);
  });

  it("counts money by the prices of the class: machines while they run, volumes always", async () => {
    put("Running", 1);
    await clock.advance(2 * HOUR_MS);
    put("Off", 1);
    await clock.advance(8 * HOUR_MS);
    // 100 GiB at 0.073 a month of 730 hours are 0.01 an hour.
    expect(await read("satellites_cost_total")).to.have.members([
      "team-a,default,USD,machine: 0.04",
      "team-a,default,USD,storage: 0.1",
    ]);
    expect(await read("satellites_saved_total")).to.deep.equal(["team-a,default,USD: 0.16"]);
  });

  it("applies new prices from their change on", async () => {
    put("Running", 1);
    await clock.advance(HOUR_MS);
    putClass({ ...PRICES, perHour: { "t3.small": "0.05" } });
    await clock.advance(HOUR_MS);
    expect(await read("satellites_cost_total")).to.include("team-a,default,USD,machine: 0.07");
  });

  it("says for how long there was no price", async () => {
    put("Running", 1, { type: "m7i.large" });
    await clock.advance(HOUR_MS);
    expect(await read("satellites_unpriced_seconds_total")).to.deep.equal(["team-a,default: 3600"]);
  });

  it("counts no money where the class has no prices", async () => {
    putClass(undefined);
    put("Running", 1, { type: "m7i.large" });
    await clock.advance(HOUR_MS);
    expect(await read("satellites_cost_total")).to.deep.equal([]);
    expect(await read("satellites_unpriced_seconds_total")).to.deep.equal([]);
  });

  it("counts while it leads, and nothing of before or after", async () => {
    put("Running", 1);
    await clock.advance(10_000);
    meter.end();
    await clock.advance(1_000_000);
    put("Off", 1);
    put("Running", 2);
    expect(await read("satellites_state_seconds_total")).to.deep.equal(["team-a,default,awake: 10"]);
    meter.begin();
    await clock.advance(5_000);
    expect(await read("satellites_state_seconds_total")).to.deep.equal(["team-a,default,awake: 15"]);
    expect(await read("satellites_starts_total")).to.deep.equal([]);
  });

  it("ends the account of a satellite that is deleted, and takes a new one of its name for another", async () => {
    put("Running", 7);
    await clock.advance(10_000);
    const [before] = satellites.list();
    satellites.observeDeletion({ ...before!, metadata: { ...before!.metadata, resourceVersion: "100" } });
    version = 100;
    await clock.advance(10_000);
    put("Running", 9, { uid: "another" });
    await clock.advance(1_000);
    expect(await read("satellites_state_seconds_total")).to.deep.equal(["team-a,default,awake: 11"]);
    expect(await read("satellites_starts_total")).to.deep.equal([]);
  });

  it("takes one that was replaced unseen, by another of its name, for another", async () => {
    put("Running", 7);
    put("Running", 9, { uid: "another" });
    expect(await read("satellites_starts_total")).to.deep.equal([]);
  });

  it("tells so many pairs of namespace and class apart, and counts the others together", async () => {
    for (let index = 0; index < 10; index += 1) {
      put("Running", 1, { name: `sat-${index}`, namespace: `team-${index}` });
    }
    await clock.advance(1_000);
    expect(await read("satellites_state_seconds_total")).to.have.members([
      "team-0,default,awake: 1",
      "team-1,default,awake: 1",
      "team-2,default,awake: 1",
      "_others,_others,awake: 7",
    ]);
  });

  it("tells how long the one that has been awake for longest has been so, of those that are to sleep", async () => {
    put("Running", 1, { name: "old" });
    put("Running", 1, { name: "never-to-sleep", namespace: "team-b", spec: { idleTimeout: "0s" } });
    await clock.advance(8 * 24 * HOUR_MS);
    put("Running", 1, { name: "young" });
    expect(await read("satellites_longest_awake_seconds")).to.include(`team-a,default: ${8 * 24 * 3600}`);
    expect(await read("satellites_longest_awake_seconds")).to.include("team-b,default: 0");
    put("Off", 1, { name: "old" });
    expect(await read("satellites_longest_awake_seconds")).to.include("team-a,default: 0");
  });

  it("tells how full the fullest cache is of those that BuildKit bounds, asleep or not", async () => {
    const of = (cacheBytes: number, cacheMaxBytes?: number): { version: string; cacheBytes: number } => ({
      version: "v1",
      cacheBytes,
      ...(cacheMaxBytes === undefined ? {} : { cacheMaxBytes }),
    });
    put("Off", 1, { name: "full", buildkit: of(90, 100) });
    put("Running", 1, { name: "new", buildkit: of(10, 200) });
    put("Running", 1, { name: "unbounded", namespace: "team-b", buildkit: of(10) });
    put("Running", 1, { name: "unlimited", namespace: "team-b", buildkit: of(10, 0) });
    expect(await read("satellites_buildkit_cache_ratio")).to.deep.equal(["team-a,default: 0.9"]);
    put("Running", 1, { name: "full", buildkit: of(20, 100) });
    expect(await read("satellites_buildkit_cache_ratio")).to.deep.equal(["team-a,default: 0.2"]);
    meter.end();
    expect(await read("satellites_buildkit_cache_ratio")).to.deep.equal([]);
  });
});
