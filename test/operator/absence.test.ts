import { expect } from "chai";
import { Tag } from "../../src/machines/tags.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { inMemory, satellite, satelliteClass } from "./fixtures.ts";
import { World, type WorldOptions } from "./world.ts";

const MINUTE = 60_000;

/** No read shows it from now on, although it is there. */
function hide({ cloud }: World, id: string): void {
  cloud.unseen.byID.add(id);
  cloud.unseen.inLists.add(id);
}

/** It is shown again. */
function show({ cloud }: World, id: string): void {
  cloud.unseen.byID.delete(id);
  cloud.unseen.inLists.delete(id);
}

/** Lets time pass with a complete list of machines and volumes each minute. */
async function runWithLists(world: World, minutes: number): Promise<void> {
  for (let minute = 0; minute < minutes; minute++) {
    await world.dependencies.listMachines();
    const volumes = [...world.cloud.volumes.keys()].filter((id) => !world.cloud.unseen.inLists.has(id));
    world.dependencies.directory.replaceVolumes(volumes);
    await world.run(MINUTE);
  }
}

async function awake(options: WorldOptions = {}): Promise<World> {
  const world = new World({ satellites: [satellite({ spec: { idleTimeout: "0s" } })], ...options });
  await runWithLists(world, 7);
  expect(world.satellite().status.phase).to.equal("Running");
  return world;
}

async function asleep(options: WorldOptions = {}): Promise<World> {
  const world = await awake(options);
  world.setPower("off");
  await runWithLists(world, 2);
  expect(world.satellite().status.sleep?.kind).to.equal("Hibernated");
  return world;
}

describe("a machine that reads do not show", () => {
  it("is woken once it is shown again, when it was missed for a moment", async () => {
    const world = await asleep();
    hide(world, "i-1");
    world.setPower("on");
    await world.run(114);
    show(world, "i-1");
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": "i-1" });
    expect(world.cloud.count("launch")).to.equal(1);
    expect(world.cloud.count("terminate")).to.equal(0);
  });

  it("stays in use while reads and lists lack it for nine minutes", async () => {
    const world = await awake();
    const { power } = world.satellite().status;
    hide(world, "i-1");
    await runWithLists(world, 9);
    expect(world.satellite().status.power).to.deep.equal(power);
    show(world, "i-1");
    await runWithLists(world, 10);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": "i-1" });
    expect(world.cloud.count("launch")).to.equal(1);
  });

  it("is said to be missing to those who wait for it", async () => {
    const world = await asleep();
    hide(world, "i-1");
    world.setPower("on");
    await runWithLists(world, 1);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "NotShownByCloud" });
    expect(world.condition("Ready")?.message).to.include("i-1");
    show(world, "i-1");
    await runWithLists(world, 1);
    expect(world.condition("Ready")).to.include({ status: "True" });
  });

  it("is gone when all reads and lists have lacked it for ten minutes", async () => {
    const world = await asleep();
    hide(world, "i-1");
    world.setPower("on");
    await runWithLists(world, 9);
    expect(world.cloud.count("launch")).to.equal(1);
    await runWithLists(world, 3);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": "i-2" });
    expect(world.cloud.count("terminate")).to.equal(0);
  });

  it("is not gone for want of lists", async () => {
    const world = await asleep();
    hide(world, "i-1");
    world.setPower("on");
    await world.run(60 * MINUTE);
    expect(world.cloud.count("launch")).to.equal(1);
  });

  it("is not gone while lists show it", async () => {
    const world = await asleep();
    world.cloud.unseen.byID.add("i-1");
    world.setPower("on");
    await runWithLists(world, 60);
    expect(world.cloud.count("launch")).to.equal(1);
  });

  it("is not gone while a router has a stream on it", async () => {
    const world = await awake();
    world.edit(({ status }: Satellite) => {
      status.activity["router-0"] = {
        seq: 1,
        validSeconds: 7200,
        openStreams: 1,
        time: "2026-01-01T00:00:00Z",
      };
    });
    hide(world, "i-1");
    await runWithLists(world, 60);
    expect(world.satellite().status).to.nested.include({ "power.state": "Running", "machine.id": "i-1" });
    expect(world.cloud.count("launch")).to.equal(1);
  });

  it("is looked for anew by an operator that was started meanwhile", async () => {
    const world = await asleep();
    hide(world, "i-1");
    world.setPower("on");
    await runWithLists(world, 9);
    world.restart();
    await runWithLists(world, 9);
    expect(world.cloud.count("launch")).to.equal(1);
  });

  it("is gone at once when a list shows that it was terminated", async () => {
    const world = await asleep();
    hide(world, "i-1");
    world.setPower("on");
    await runWithLists(world, 1);
    show(world, "i-1");
    world.cloud.vanish("i-1");
    await world.dependencies.listMachines();
    world.cloud.unseen.byID.add("i-1");
    await world.run(1000);
    expect(world.cloud.count("launch")).to.equal(2);
  });

  it("keeps its satellite from going, and is terminated when it is shown again", async () => {
    const world = await asleep();
    hide(world, "i-1");
    world.edit(({ metadata }) => {
      metadata.deletionTimestamp = "2026-01-01T01:00:00Z";
    });
    await runWithLists(world, 9);
    expect(world.exists()).to.equal(true);
    show(world, "i-1");
    await runWithLists(world, 1);
    expect(world.exists()).to.equal(false);
    expect(world.cloud.machines.get("i-1")?.state).to.equal("terminated");
  });

  it("is retired all the same when another has replaced it", async () => {
    const world = await asleep({ satelliteClass: satelliteClass({ imageUpdates: "Always" }) });
    world.cloud.image = "image-2";
    world.editClass((object) => {
      object.status = { resolved: { images: { amd64: "image-2" } } };
    });
    await world.run(3000);
    hide(world, "i-1");
    world.setPower("on");
    await runWithLists(world, 3);
    expect(world.satellite().status.machine?.image).to.equal("image-2");
    expect(world.satellite().status.retired?.id).to.equal("i-1");
    show(world, "i-1");
    await runWithLists(world, 12);
    expect(world.satellite().status.retired).to.equal(undefined);
    expect(world.cloud.machines.get("i-1")?.state).to.equal("terminated");
  });
});

describe("a machine that is kept aside", () => {
  const offer = { [Tag.adoptableBy]: "cluster-a/team-a/ada" };
  const aside = { [Tag.orphanedAt]: "2026-01-01T00:00:00Z" };

  /** Two machines with the satellite's tags: i-1 kept aside, i-2 in use and terminated by somebody. */
  async function lost(tags: Readonly<Record<string, string>>): Promise<World> {
    const world = await asleep();
    hide(world, "i-1");
    world.setPower("on");
    await runWithLists(world, 12);
    expect(world.satellite().status.machine?.id).to.equal("i-2");
    show(world, "i-1");
    await world.cloud.tag("i-1", { ...aside, ...tags });
    await runWithLists(world, 1);
    expect(world.condition("MachinesKeptAside")).to.include({ status: "True", reason: "KeptAside" });
    expect(world.condition("MachinesKeptAside")?.message).to.include("i-1");
    world.cloud.vanish("i-2");
    await runWithLists(world, 3);
    return world;
  }

  it("is not taken for the satellite's when that loses the machine in use", async () => {
    const world = await lost({});
    expect(world.satellite().status.machine?.id).to.equal("i-3");
    expect(world.cloud.count("terminate")).to.equal(0);
  });

  it("is taken back when somebody has offered it, and is the satellite's again", async () => {
    const world = await lost(offer);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": "i-1" });
    expect(world.cloud.machines.get("i-1")?.tags).to.include({ [Tag.orphanedAt]: "" });
    await runWithLists(world, 1);
    expect(world.condition("MachinesKeptAside")).to.include({ status: "False" });
  });
});

describe("a data volume that reads do not show", () => {
  const dataVolume = { sizeGiB: 100, type: "fast" };

  it("is not made anew before it has been missing for minutes, and the machine waits for it", async () => {
    const world = await asleep({ satelliteClass: satelliteClass(inMemory(dataVolume)) });
    const [id = ""] = world.cloud.volumes.keys();
    expect(world.satellite().status.volume?.id).to.equal(id);
    const holder = world.cloud.machines.get("i-1");
    if (holder !== undefined) {
      holder.volumes = [];
    }
    const volume = world.cloud.volumes.get(id);
    if (volume !== undefined) {
      delete volume.attachment;
      volume.state = "available";
    }
    hide(world, id);
    world.setPower("on");
    await runWithLists(world, 9);
    expect(world.cloud.count("createVolume")).to.equal(1);
    expect(world.condition("Ready")).to.include({ reason: "NotShownByCloud" });
    show(world, id);
    await runWithLists(world, 1);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "volume.id": id });
  });
});
