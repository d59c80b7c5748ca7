import { expect } from "chai";
import { Tag } from "../../src/machines/tags.ts";
import { giveVolume } from "../../src/operator/data-volume.ts";
import { decide } from "../../src/operator/decide.ts";
import { defaultSettings } from "../../src/operator/settings.ts";
import { lateness } from "../../src/operator/waiting.ts";
import { machine, satellite } from "./fixtures.ts";
import { NOW_MS, observation } from "./observation.ts";
import { asleep, classWith, holders, live, NEW_IMAGE, publish } from "./replacement-world.ts";
import type { CloudCall } from "./memory-cloud.ts";
import { FATES } from "./scripted-cloud.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const remove = (world: World): void =>
  world.edit(({ metadata }) => {
    metadata.deletionTimestamp = "2026-01-01T00:01:00Z";
  });

/** Calls that change something on the way to another machine, each of which may lose its answer or be refused. */
const CALLS: readonly CloudCall[] = [
  "launch",
  "detachVolume",
  "attachVolume",
  "terminate",
  "stop",
  "describeVolume",
];

describe("a data volume", () => {
  it("is made once, where the machine is, and attached before the satellite is awake", async () => {
    const world = await asleep();
    expect(holders(world)).to.deep.equal(["image-1"]);
    expect(world.satellite().status.volume).to.include({ id: "vol-2", zone: "eu-west-1a", sizeGiB: 200 });
    expect([...world.cloud.volumes.values()][0]?.tags).to.include({
      [Tag.uid]: "uid-ada",
      [Tag.volume]: "data",
    });
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.cloud.count("createVolume")).to.equal(1);
    expect(world.cloud.count("attachVolume")).to.equal(1);
  });

  for (const call of ["createVolume", "attachVolume"] as const) {
    it(`is one, whatever becomes of the answer to ${call} and of the operator`, async () => {
      const world = new World({ satelliteClass: classWith() });
      world.cloud.fail(call, "server", 2, { takesEffect: true });
      for (let step = 0; step < 100; step++) {
        world.restart();
        await world.run(700);
      }
      expect(world.satellite().status.phase).to.equal("Running");
      expect(holders(world)).to.deep.equal(["image-1"]);
    });
  }

  for (const [how, state, stateReason, next] of [
    ["is down", "stopped", FATES.shutDown, "DetachVolume"],
    ["keeps its memory", "stopped", FATES.hibernated, "VolumeKeptAside"],
    ["runs", "running", undefined, "VolumeKeptAside"],
  ] as const) {
    it(`that is on a machine kept aside, which ${how}, is ${next === "DetachVolume" ? "taken from it" : "left there"}`, () => {
      const old = machine({
        id: "i-old",
        state,
        volumes: ["vol-2"],
        ...(stateReason === undefined ? {} : { stateReason }),
      });
      const observed = observation({
        satellite: satellite({
          status: {
            power: { state: "Starting", epoch: 2, accepted: true, fence: 0 },
            machine: { id: "i-1" },
            volume: { id: "vol-2", attempt: 0, token: "t", zone: "eu-west-1a" },
          },
        }),
        machine: machine(),
        keptAside: [old],
        volume: {
          id: "vol-2",
          state: "in-use",
          zone: "eu-west-1a",
          createdAt: "",
          attachment: { machine: "i-old", state: "attached" },
          tags: {},
        },
      });
      const action = giveVolume(observed, machine(), defaultSettings);
      expect(action?.kind === "Wait" ? action.reason : action?.kind).to.equal(next);
      if (action?.kind === "Wait") {
        expect(lateness(observed, action)?.message).to.match(
          /i-old, which is kept aside and (keeps its memory|is running)/,
        );
      }
    });
  }

  it("is waited for where the port answers before the machine is said to run", () => {
    const launch = { attempt: 0, token: "t", dataVolume: { sizeGiB: 200, type: "gp3" } };
    const next = (volumes: readonly string[], id?: string): string => {
      const observed = observation({
        satellite: satellite({
          status: {
            power: { state: "Starting", epoch: 1, accepted: true, fence: 0, reason: "Launch" },
            machine: { id: "i-1" },
            endpoint: { host: "10.0.0.1", port: 8372 },
            launch,
            ...(id === undefined ? {} : { volume: { id, attempt: 0, zone: "eu-west-1a" } }),
          },
        }),
        machine: machine({ state: "pending", volumes }),
        memory: { port: { probe: { epoch: 1, atMs: NOW_MS, ready: true, runningWork: 0 } } },
      });
      const action = decide(observed, defaultSettings);
      return action.kind === "WriteStatus" ? action.status.power.state : action.kind;
    };
    expect(next([])).not.to.equal("Running");
    expect(next([], "vol-1")).not.to.equal("Running");
    expect(next(["vol-1"], "vol-1")).to.equal("Running");
  });

  it("goes with the satellite, also when the machine went before", async () => {
    for (const isGone of [false, true]) {
      const world = await asleep();
      if (isGone) {
        await world.cloud.terminate("i-1");
        await world.run(MINUTE);
      }
      remove(world);
      await world.run(MINUTE);
      expect(world.exists()).to.equal(false);
      expect(world.cloud.volumes.size).to.equal(0);
    }
  });

  it("goes with a satellite that is deleted at any moment of its first launch", async () => {
    for (let ms = 0; ms < 6000; ms += 300) {
      const world = new World({ satelliteClass: classWith() });
      world.cloud.fail("createVolume", "server", 1, { takesEffect: true });
      await world.run(ms);
      remove(world);
      await world.run(6 * MINUTE);
      expect(world.exists(), `after ${ms} ms`).to.equal(false);
      expect(world.cloud.volumes.size, `after ${ms} ms`).to.equal(0);
      expect(live(world)).to.deep.equal([]);
    }
  });

  it("is kept with the machine by deletionPolicy Retain, and nobody's any more", async () => {
    const world = await asleep({ spec: { deletionPolicy: "Retain" } });
    remove(world);
    await world.run(MINUTE);
    expect(world.exists()).to.equal(false);
    expect(live(world)).to.deep.equal(["image-1 stopped"]);
    const [volume] = world.cloud.volumes.values();
    expect(volume?.tags).to.include({ [Tag.retained]: "true", [Tag.cluster]: "", [Tag.uid]: "" });
  });

  it("is taken up again with its machine by a satellite that was restored from a backup, and goes with it", async () => {
    const world = await asleep();
    world.edit((restored) => {
      restored.metadata.uid = "uid-restored";
      restored.status = { power: { state: "Off", epoch: 0, accepted: false, fence: 0 }, activity: {} };
    });
    await world.dependencies.listMachines();
    await world.run(MINUTE);
    expect(world.satellite().status.volume).to.include({ id: "vol-2" });
    expect([...world.cloud.volumes.values()][0]?.tags[Tag.uid]).to.equal("uid-restored");
    remove(world);
    await world.run(MINUTE);
    expect(world.cloud.volumes.size).to.equal(0);
  });

  it("keeps the next machine in its zone", async () => {
    const world = await asleep();
    world.cloud.combinations = ["m7i.xlarge eu-west-1b", "m7a.xlarge eu-west-1a"];
    await world.cloud.terminate("i-1");
    world.setPower("on");
    await world.run(2 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    expect(world.satellite().status.machine).to.include({ zone: "eu-west-1a", type: "m7a.xlarge" });
    expect(world.cloud.count("createVolume")).to.equal(1);
  });

  it("is made anew when somebody has deleted it, and that is said", async () => {
    const world = await asleep();
    world.cloud.volumes.clear();
    for (const found of world.cloud.machines.values()) {
      found.volumes = [];
    }
    world.setPower("on");
    for (let minute = 0; minute < 12; minute++) {
      world.dependencies.directory.replaceVolumes([]);
      await world.run(MINUTE);
    }
    expect(world.satellite().status.phase).to.equal("Running");
    expect(holders(world)).to.deep.equal(["image-1"]);
    expect(world.events.map(({ reason }) => reason)).to.include("VolumeLost");
  });
});

describe("a replacement", () => {
  it("gives a sleeper another machine with its data volume, and lets the old one go", async () => {
    const world = await asleep();
    publish(world);
    await world.run(2 * MINUTE);
    expect(live(world)).to.deep.equal(["image-2 stopped"]);
    expect(holders(world)).to.deep.equal(["image-2"]);
    expect(world.satellite()).to.nested.include({
      "spec.desiredPower": "off",
      "status.power.state": "Off",
      "status.machine.image": "image-2",
    });
    expect(world.satellite().status).not.to.have.any.keys("replacement", "retired");
    expect(world.condition("Updated")).to.include({ status: "True" });
    expect(world.cloud.count("createVolume")).to.equal(1);
    expect(world.thrown).to.deep.equal([]);
  });

  it("holds a request that comes meanwhile, and serves it with the new machine", async () => {
    const world = await asleep();
    publish(world);
    await world.run(1500);
    expect(world.satellite().status).to.include({ phase: "Updating" });
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    expect(live(world)).to.deep.equal(["image-2 running"]);
    expect(world.cloud.count("start")).to.equal(0);
  });

  it("never terminates the old machine before the new one has answered", async () => {
    const world = await asleep();
    world.answers = () => false;
    publish(world);
    await world.run(5 * MINUTE);
    expect(live(world)).to.have.members(["image-1 stopped", "image-2 running"]);
    expect(world.cloud.count("terminate")).to.equal(0);
  });

  it("goes back to the old machine when the new one does not answer, and tries again much later", async () => {
    const world = await asleep();
    world.answers = () => false;
    publish(world);
    await world.run(15 * MINUTE);
    expect(live(world)).to.deep.equal(["image-1 stopped"]);
    expect(holders(world)).to.deep.equal(["image-1"]);
    expect(world.condition("Updated")).to.include({ status: "False", reason: "ReplacementSilent" });
    world.answers = () => true;
    await world.run(5 * HOUR);
    expect(live(world)).to.deep.equal(["image-1 stopped"]);
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    world.setPower("off");
    await world.run(2 * HOUR);
    expect(live(world)).to.deep.equal(["image-2 stopped"]);
  });

  it("goes back at once when the volume may not be moved", async () => {
    const world = await asleep();
    world.cloud.fail("detachVolume", "permission", Infinity);
    publish(world);
    await world.run(MINUTE);
    expect(live(world)).to.deep.equal(["image-1 stopped"]);
    expect(holders(world)).to.deep.equal(["image-1"]);
    expect(world.condition("Updated")).to.include({ status: "False", reason: "NotPermitted" });
  });

  it("tries the other types of the zone for want of capacity, and then stays with the old machine", async () => {
    const world = await asleep();
    world.cloud.combinations = ["m7i.xlarge eu-west-1a", "m6i.xlarge eu-west-1b", "m7a.xlarge eu-west-1a"];
    world.cloud.fail("launch", "capacity", Infinity);
    publish(world);
    await world.run(MINUTE);
    expect(world.cloud.count("launch")).to.equal(3);
    expect(world.condition("Updated")).to.include({ status: "False", reason: "InsufficientCapacity" });
    expect(world.satellite().status).to.nested.include({ phase: "Asleep", "machine.image": "image-1" });
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
  });

  it("waits for the maintenance window, or for the annotation", async () => {
    const maintenance = { start: "02:00", duration: "1h", timeZone: "UTC" };
    const world = await asleep({ spec: { maintenance } });
    publish(world);
    await world.run(HOUR);
    expect(live(world)).to.deep.equal(["image-1 stopped"]);
    expect(world.condition("Updated")).to.include({ status: "False", reason: "ImageUpdatePending" });
    world.edit(({ metadata }) => {
      metadata.annotations = { "satellites.dev/update-now": "true" };
    });
    await world.run(2 * MINUTE);
    expect(live(world)).to.deep.equal(["image-2 stopped"]);
  });

  it("leaves alone what is awake", async () => {
    const world = await asleep();
    world.setPower("on");
    await world.run(MINUTE);
    publish(world);
    await world.run(HOUR);
    expect(live(world)).to.deep.equal(["image-1 running"]);
  });

  it("starts one that hibernates, to stop it first: its memory belongs to its disks", async () => {
    const world = await asleep({ spec: { sleepMode: "Hibernate" } });
    expect(world.satellite().status.sleep?.kind).to.equal("Hibernated");
    publish(world);
    await world.run(10 * MINUTE);
    expect(world.satellite().status.machine?.image).to.equal("image-2");
    expect(world.satellite().status.sleep?.kind).to.equal("Hibernated");
    expect(holders(world)).to.deep.equal(["image-2"]);
    expect(world.thrown).to.deep.equal([]);
  });

  it("happens without a data volume only where the class says so", async () => {
    const kept = await asleep({ dataVolume: false });
    publish(kept);
    await kept.run(HOUR);
    expect(live(kept)).to.deep.equal(["image-1 stopped"]);
    expect(kept.condition("Updated")).to.include({ status: "False", reason: "ImageOutdated" });
    const replaced = await asleep({ dataVolume: false, classSpec: { imageUpdates: "Always" } });
    publish(replaced);
    await replaced.run(HOUR);
    expect(live(replaced)).to.deep.equal(["image-2 stopped"]);
    const never = await asleep({ classSpec: { imageUpdates: "Never" } });
    publish(never);
    await never.run(HOUR);
    expect(live(never)).to.deep.equal(["image-1 stopped"]);
  });

  for (const takesEffect of [true, false]) {
    for (const call of CALLS) {
      const what = takesEffect ? "whose answer is lost" : "that fails";
      it(`survives a ${call} ${what}, and operators that change at every step`, async () => {
        const world = await asleep();
        publish(world);
        world.cloud.fail(call, "server", 2, { takesEffect });
        for (let step = 0; step < 150; step++) {
          world.restart();
          await world.run(900);
        }
        expect(live(world)).to.deep.equal(["image-2 stopped"]);
        expect(holders(world)).to.deep.equal(["image-2"]);
        expect(world.satellite().status.power.state).to.equal("Off");
      });
    }
  }

  it("leaves nothing when the satellite is deleted at any moment of it", async () => {
    for (let ms = 0; ms < 12_000; ms += 250) {
      const world = await asleep();
      publish(world);
      world.cloud.fail("launch", "server", 1, { takesEffect: true });
      await world.run(ms);
      remove(world);
      world.restart();
      await world.run(10 * MINUTE);
      expect(world.exists(), `after ${ms} ms`).to.equal(false);
      expect(live(world), `after ${ms} ms`).to.deep.equal([]);
      expect(world.cloud.volumes.size, `after ${ms} ms`).to.equal(0);
    }
  }).timeout(60_000);

  it("leaves one machine and its volume when the satellite is let go of at any moment of it", async () => {
    for (let ms = 0; ms < 12_000; ms += 250) {
      const world = await asleep({ spec: { deletionPolicy: "Retain" } });
      publish(world);
      await world.run(ms);
      remove(world);
      await world.run(10 * MINUTE);
      expect(world.exists(), `after ${ms} ms`).to.equal(false);
      expect(live(world), `after ${ms} ms`).to.have.length(1);
      expect(world.cloud.volumes.size, `after ${ms} ms`).to.equal(1);
      const left = [...world.cloud.machines.values()].find(({ state }) => state !== "terminated");
      expect(left?.tags[Tag.retained], `after ${ms} ms`).to.equal("true");
    }
  }).timeout(60_000);

  it("goes on when the old machine is terminated outside meanwhile", async () => {
    const world = await asleep();
    publish(world);
    await world.run(1500);
    await world.cloud.terminate("i-1");
    await world.run(2 * MINUTE);
    expect(live(world)).to.deep.equal(["image-2 stopped"]);
    expect(holders(world)).to.deep.equal(["image-2"]);
  });

  it("goes back when the new machine is terminated outside meanwhile", async () => {
    const world = await asleep();
    publish(world);
    while (world.satellite().status.replacement?.machine === undefined) {
      await world.run(50);
    }
    const added = [...world.cloud.machines.values()].find(({ image }) => image === NEW_IMAGE);
    await world.cloud.terminate(added?.id ?? "");
    await world.run(2 * MINUTE);
    expect(live(world)).to.deep.equal(["image-1 stopped"]);
    expect(holders(world)).to.deep.equal(["image-1"]);
    expect(world.condition("Updated")?.status).to.equal("False");
  });

  it("goes back when somebody starts the old machine meanwhile: nobody pulls the disk from under it", async () => {
    const world = await asleep();
    publish(world);
    while (world.satellite().status.replacement?.machine === undefined) {
      await world.run(50);
    }
    await world.cloud.start("i-1");
    await world.run(3 * MINUTE);
    expect(world.cloud.count("detachVolume")).to.equal(0);
    expect(live(world)).to.deep.equal(["image-1 stopped"]);
    expect(holders(world)).to.deep.equal(["image-1"]);
    expect(world.condition("Updated")).to.include({ status: "False", reason: "MachineStartedOutside" });
  });

  it("waits while reads do not show the old machine, which may run", async () => {
    const world = await asleep();
    publish(world);
    while (world.satellite().status.replacement?.machine === undefined) {
      await world.run(50);
    }
    world.cloud.unseen.byID.add("i-1");
    await world.run(MINUTE);
    expect(world.cloud.count("detachVolume")).to.equal(0);
    world.cloud.unseen.byID.clear();
    await world.run(MINUTE);
    expect(live(world)).to.deep.equal(["image-2 stopped"]);
    expect(holders(world)).to.deep.equal(["image-2"]);
  });
});
