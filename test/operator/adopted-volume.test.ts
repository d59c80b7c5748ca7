import { expect } from "chai";
import { adoptableBy, dataVolumeTags, ownerTags, Tag } from "../../src/machines/tags.ts";
import { Annotation } from "../../src/satellite/resource.ts";
import { CLUSTER, machine, satellite } from "./fixtures.ts";
import { World, type WorldOptions } from "./world.ts";

const MINUTE = 60_000;
const OLD = "i-0000000000000000a";
const DATA = "vol-old";
const OFFER = { [Tag.adoptableBy]: adoptableBy(CLUSTER, { namespace: "team-a", name: "ada" }) };
/** What a satellite that was deleted with deletionPolicy Retain has left on its data volume. */
const RETAINED = {
  ...dataVolumeTags(ownerTags(CLUSTER, { namespace: "team-a", name: "eve", uid: "uid-eve" })),
  [Tag.cluster]: "",
  [Tag.uid]: "",
  [Tag.retained]: "true",
};

type Tags = Readonly<Record<string, string>>;

/** A machine that is offered, and the volume that is on it. */
function putMachine({ cloud }: World, volumeTags: Tags): void {
  cloud.machines.set(
    OLD,
    machine({ id: OLD, state: "stopped", hibernationConfigured: false, volumes: [DATA], tags: OFFER }),
  );
  cloud.volumes.set(DATA, {
    id: DATA,
    state: "in-use",
    zone: "eu-west-1a",
    createdAt: "2026-01-01T00:00:00Z",
    attachment: { machine: OLD, state: "attached" },
    tags: volumeTags,
    token: "",
  });
}

/** A satellite that is to take over a machine whose data volume has these tags. */
function adopting(volumeTags: Tags, options: WorldOptions = {}): World {
  const world = new World({
    satellites: [satellite({ annotations: { [Annotation.adopt]: OLD }, spec: { idleTimeout: "0s" } })],
    ...options,
  });
  putMachine(world, volumeTags);
  return world;
}

const remove = (world: World): void =>
  world.edit(({ metadata }) => {
    metadata.deletionTimestamp = "2026-01-01T00:10:00Z";
  });

const tagsOf = (world: World): Tags => world.cloud.volumes.get(DATA)?.tags ?? {};

describe("the data volume of a machine that is taken over", () => {
  it("is taken along where its owner offers it too, and is the satellite's from then on", async () => {
    const world = adopting({ ...RETAINED, ...OFFER });
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({
      phase: "Running",
      "machine.id": OLD,
      "volume.id": DATA,
      "volume.zone": "eu-west-1a",
    });
    expect(tagsOf(world)).to.include({
      [Tag.cluster]: CLUSTER,
      [Tag.uid]: "uid-ada",
      [Tag.retained]: "",
      [Tag.volume]: "data",
    });
    expect(world.cloud.count("createVolume")).to.equal(0);
  });

  it("goes with the satellite, or is kept with the machine, as deletionPolicy says", async () => {
    for (const deletionPolicy of ["Delete", "Retain"] as const) {
      const world = adopting({ ...RETAINED, ...OFFER });
      world.edit(({ spec }) => {
        spec.deletionPolicy = deletionPolicy;
      });
      await world.run(MINUTE);
      remove(world);
      await world.run(5 * MINUTE);
      expect(world.exists()).to.equal(false);
      const left = [...world.cloud.volumes.values()].map(({ tags }) => tags[Tag.retained]);
      expect(left, deletionPolicy).to.deep.equal(deletionPolicy === "Delete" ? [] : ["true"]);
    }
  });

  it("has the machine waited for where it is a satellite's and not offered, and says which tag is missing", async () => {
    const world = adopting(RETAINED);
    await world.run(10 * MINUTE);
    expect(world.satellite().status.machine).to.equal(undefined);
    expect(world.condition("Launched")).to.include({ status: "False", reason: "AdoptionNotAllowed" });
    expect(world.condition("Launched")?.message)
      .to.include(DATA)
      .and.include(`${Tag.adoptableBy}=${OFFER[Tag.adoptableBy] ?? ""}`);
    expect(world.cloud.calls.filter((call) => !/^(describe|list|lookUp)/.test(call))).to.deep.equal([]);
    await world.cloud.tag(DATA, OFFER);
    await world.run(10 * MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "volume.id": DATA });
  });

  it("is left to its owner where it never was a satellite's and is not offered", async () => {
    const world = adopting({ owner: "somebody" });
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": OLD });
    expect(world.satellite().status.volume).to.equal(undefined);
    remove(world);
    await world.run(5 * MINUTE);
    expect(world.exists()).to.equal(false);
    expect(tagsOf(world)).to.deep.equal({ owner: "somebody" });
  });

  it("is left to its owner also by an operator that ends between tagging the machine and naming it", async () => {
    const world = adopting({ owner: "somebody" });
    world.store.beforePatch = (_key, operations) => {
      if (operations.some(({ path }) => path === "/status/machine")) {
        world.store.beforePatch = () => {};
        world.restart();
        throw new Error("the operator ends");
      }
    };
    await world.run(500);
    expect(world.satellite().status.machine).to.equal(undefined);
    await world.dependencies.listMachines();
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": OLD });
    expect(world.satellite().status.volume).to.equal(undefined);
    expect(tagsOf(world)).to.deep.equal({ owner: "somebody" });
  });

  for (const takesEffect of [true, false]) {
    it(`is taken along by operators that end at a tag that is ${takesEffect ? "set" : "not set"}`, async () => {
      for (const times of [1, 2, 3]) {
        const world = adopting({ ...RETAINED, ...OFFER });
        world.cloud.fail("tag", "server", times, { takesEffect });
        for (let step = 0; step < 20; step++) {
          await world.run(900);
          world.restart();
          await world.dependencies.listMachines();
        }
        await world.run(MINUTE);
        expect(world.satellite().status).to.nested.include({ "machine.id": OLD, "volume.id": DATA });
        expect(tagsOf(world)[Tag.uid]).to.equal("uid-ada");
      }
    });
  }

  it("is not taken from another satellite", async () => {
    const world = adopting({ ...RETAINED, ...OFFER });
    world.add(
      satellite({
        name: "bob",
        spec: { desiredPower: "off" },
        status: { volume: { id: DATA, attempt: 0, zone: "eu-west-1a" } },
      }),
    );
    await world.run(MINUTE);
    expect(world.condition("Launched")).to.include({ reason: "AdoptionInUse" });
    expect(world.condition("Launched")?.message).to.include(DATA).and.include("bob");
    expect(world.satellite().status.machine).to.equal(undefined);
  });

  it("is not taken by a satellite that has one already", async () => {
    const own = satellite({
      annotations: { [Annotation.adopt]: OLD },
      status: { volume: { id: "vol-own", attempt: 0, zone: "eu-west-1a" } },
    });
    const world = adopting({ ...RETAINED, ...OFFER }, { satellites: [own] });
    await world.run(MINUTE);
    expect(world.condition("Launched")).to.include({ reason: "AdoptionInvalid" });
    expect(world.condition("Launched")?.message).to.include(DATA).and.include("vol-own");
    expect(world.satellite().status.machine).to.equal(undefined);
  });

  it("is waited for while reads do not show it", async () => {
    const world = adopting({ ...RETAINED, ...OFFER });
    world.cloud.unseen.byID.add(DATA);
    await world.run(MINUTE);
    expect(world.condition("Launched")).to.include({ reason: "VolumeNotVisible" });
    expect(world.satellite().status.machine).to.equal(undefined);
    world.cloud.unseen.byID.clear();
    await world.run(10 * MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "volume.id": DATA });
  });
});

describe("the data volume of a satellite whose status was lost", () => {
  it("is kept with the machine when the satellite is deleted with deletionPolicy Retain", async () => {
    const world = new World({ satellites: [satellite({ spec: { idleTimeout: "0s" } })] });
    putMachine(
      world,
      dataVolumeTags(ownerTags(CLUSTER, { namespace: "team-a", name: "ada", uid: "uid-ada" })),
    );
    const found = world.cloud.machines.get(OLD);
    if (found !== undefined) {
      found.tags = ownerTags(CLUSTER, { namespace: "team-a", name: "ada", uid: "uid-ada" });
    }
    world.edit(({ spec }) => {
      spec.deletionPolicy = "Retain";
    });
    remove(world);
    await world.run(5 * MINUTE);
    expect(world.exists()).to.equal(false);
    expect(world.cloud.machines.get(OLD)?.tags[Tag.retained]).to.equal("true");
    expect(tagsOf(world)[Tag.retained]).to.equal("true");
  });
});
