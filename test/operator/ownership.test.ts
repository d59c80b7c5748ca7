import { expect } from "chai";
import { Tag } from "../../src/machines/tags.ts";
import { NAMESPACE as NAMESPACE_TYPE } from "../../src/kube/resources.ts";
import { Annotation } from "../../src/satellite/resource.ts";
import { CLUSTER, machine, satellite, satelliteClass } from "./fixtures.ts";
import { classWith } from "./replacement-world.ts";
import { World, type WorldOptions } from "./world.ts";

const MINUTE = 60_000;
const OLD = "i-0000000000000000a";
const ALLOWED = { [Tag.adoptableBy]: `${CLUSTER}/team-a/ada` };

/** A satellite that is to take over a machine with these tags. */
function adopting(tags: Record<string, string>): World {
  const world = new World({ satellites: [satellite({ annotations: { [Annotation.adopt]: OLD } })] });
  world.cloud.machines.set(OLD, machine({ id: OLD, tags }));
  return world;
}

describe("adoption", () => {
  it("takes over a machine whose owner has tagged it for this satellite, and launches none", async () => {
    const world = adopting(ALLOWED);
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": OLD });
    expect(world.cloud.machines.get(OLD)?.tags).to.include({
      [Tag.cluster]: CLUSTER,
      [Tag.uid]: "uid-ada",
    });
    expect(world.cloud.count("launch")).to.equal(0);
  });

  it("wakes a machine that is stopped", async () => {
    const world = adopting(ALLOWED);
    world.cloud.machines.set(OLD, machine({ id: OLD, tags: ALLOWED, state: "stopped" }));
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    expect(world.cloud.count("start")).to.equal(1);
  });

  const refusals = {
    "without the tag": {},
    "tagged for a namesake in another namespace": { [Tag.adoptableBy]: `${CLUSTER}/team-b/ada` },
    "tagged for a namesake in another cluster": { [Tag.adoptableBy]: "cluster-b/team-a/ada" },
  };
  for (const [which, tags] of Object.entries(refusals)) {
    it(`leaves a machine alone ${which}, and says which tag is missing`, async () => {
      const world = adopting(tags);
      await world.run(10 * MINUTE);
      expect(world.satellite().status.machine).to.equal(undefined);
      expect(world.condition("Launched")).to.include({ status: "False", reason: "AdoptionNotAllowed" });
      expect(world.condition("Launched")?.message).to.include(`${Tag.adoptableBy}=${CLUSTER}/team-a/ada`);
      expect(world.cloud.calls.filter((call) => !/^(describe|list|lookUp)/.test(call))).to.deep.equal([]);
    });
  }

  it("goes on by itself when the owner has set the tag", async () => {
    const world = adopting({});
    await world.run(MINUTE);
    await world.cloud.tag(OLD, ALLOWED);
    await world.run(2 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
  });

  it("waits for a machine that does not exist, and launches none", async () => {
    const world = new World({
      satellites: [satellite({ annotations: { [Annotation.adopt]: "i-0000000000000000f" } })],
    });
    await world.run(10 * MINUTE);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "AdoptionNotFound" });
    expect(world.cloud.count("launch")).to.equal(0);
  });

  it("asks the cloud nothing about what is no machine's ID, and says so", async () => {
    for (const id of [
      "i-zz1",
      "i-0123",
      "vol-0123456789abcdef0",
      "i-0000000000000000A",
      "x".repeat(100_000),
    ]) {
      const world = new World({ satellites: [satellite({ annotations: { [Annotation.adopt]: id } })] });
      await world.run(10 * MINUTE);
      expect(world.condition("Ready")).to.include({ status: "False", reason: "AdoptionInvalid" });
      expect(world.cloud.calls).to.deep.equal([]);
    }
  });

  it("looks with growing pauses for what is not there, and at once when the annotation changes", async () => {
    const world = new World({
      satellites: [satellite({ annotations: { [Annotation.adopt]: "i-0000000000000000f" } })],
    });
    await world.run(10 * MINUTE);
    expect(world.cloud.count("lookUp")).to.be.within(4, 6);
    await world.run(50 * MINUTE);
    expect(world.cloud.count("lookUp")).to.be.within(9, 12);
    world.cloud.machines.set(OLD, machine({ id: OLD, tags: ALLOWED }));
    world.edit(({ metadata }) => {
      metadata.annotations = { [Annotation.adopt]: OLD };
    });
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": OLD });
  });

  it("does not tell whose a machine is before its owner has allowed it to be taken over", async () => {
    const world = adopting({});
    world.add(satellite({ name: "bob", spec: { desiredPower: "off" }, status: { machine: { id: OLD } } }));
    await world.run(MINUTE);
    expect(world.condition("Launched")).to.include({ reason: "AdoptionNotAllowed" });
    expect(world.condition("Launched")?.message).not.to.include("bob");
  });

  it("is only for namespaces that may use the class", async () => {
    const world = adopting(ALLOWED);
    world.store.put(NAMESPACE_TYPE, { metadata: { name: "team-a" } });
    world.editClass(({ spec }) => {
      spec.allowedNamespaces = { names: ["team-b"] };
    });
    await world.run(10 * MINUTE);
    expect(world.condition("Launched")).to.include({ status: "False", reason: "NamespaceNotAllowed" });
    expect(world.cloud.calls.filter((call) => !/^(describe|list)/.test(call))).to.deep.equal([]);
    world.editClass(({ spec }) => {
      spec.allowedNamespaces = { names: ["team-a"] };
    });
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
  });

  it("does not take another satellite's machine, whatever its tags say", async () => {
    const world = adopting(ALLOWED);
    world.add(satellite({ name: "bob", spec: { desiredPower: "off" }, status: { machine: { id: OLD } } }));
    await world.run(MINUTE);
    expect(world.condition("Launched")).to.include({ reason: "AdoptionInUse" });
    expect(world.satellite().status.machine).to.equal(undefined);
  });
});

describe("a machine's tags", () => {
  it("are set right when somebody has changed them", async () => {
    const world = new World();
    await world.run(MINUTE);
    await world.cloud.tag("i-1", { [Tag.uid]: "nonsense", [Tag.orphanedAt]: "2026-01-01T00:00:00Z" });
    await world.run(15 * MINUTE);
    expect(world.cloud.machines.get("i-1")?.tags).to.include({
      [Tag.uid]: "uid-ada",
      [Tag.class]: "default",
      [Tag.orphanedAt]: "",
    });
  });

  it("that cannot be set keep it from nothing, and cost a call now and then", async () => {
    const world = new World();
    await world.run(MINUTE);
    await world.cloud.tag("i-1", { [Tag.uid]: "nonsense" });
    world.cloud.fail("tag", "permission", Infinity);
    world.setPower("off");
    await world.run(60 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Asleep");
    expect(world.cloud.count("tag")).to.be.within(2, 10);
  });

  it("are set on its data volume too, however often that fails at first", async () => {
    const world = new World({ satelliteClass: classWith() });
    await world.run(MINUTE);
    const [volume = ""] = world.cloud.volumes.keys();
    for (const id of ["i-1", volume]) {
      await world.cloud.tag(id, { [Tag.uid]: "nonsense" });
    }
    world.cloud.fail("tag", "throttled", 1, { only: (found) => found === undefined });
    await world.run(30 * MINUTE);
    expect(world.cloud.machines.get("i-1")?.tags[Tag.uid]).to.equal("uid-ada");
    expect(world.cloud.volumes.get(volume)?.tags[Tag.uid]).to.equal("uid-ada");
  });

  it("name the new satellite after one was restored from a backup without its status", async () => {
    const world = new World();
    await world.run(MINUTE);
    await world.dependencies.listMachines();
    world.add(satellite({ uid: "uid-restored" }));
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "machine.id": "i-1" });
    expect(world.cloud.machines.get("i-1")?.tags[Tag.uid]).to.equal("uid-restored");
    expect(world.cloud.count("launch")).to.equal(1);
  });
});

/** As docs/operations.md, "Another cluster", has people do it. */
describe("a cluster that took another's place", () => {
  const OTHER_CLUSTER = "uid-of-the-old-kube-system";

  /** A machine that sleeps with its data volume, both of the old cluster, and the satellite made anew, which is to be off. */
  async function moved(): Promise<World> {
    const world = new World({ satelliteClass: classWith() });
    await world.run(MINUTE);
    world.setPower("off");
    await world.run(5 * MINUTE);
    for (const id of ["i-1", ...world.cloud.volumes.keys()]) {
      await world.cloud.tag(id, { [Tag.cluster]: OTHER_CLUSTER });
    }
    world.add(satellite({ uid: "uid-anew", spec: { desiredPower: "off" } }));
    await world.run(30 * MINUTE);
    return world;
  }

  it("neither uses nor touches the old one's machines", async () => {
    const world = await moved();
    expect(world.satellite().status.machine).to.equal(undefined);
    expect(world.cloud.machines.get("i-1")?.tags).to.include({
      [Tag.cluster]: OTHER_CLUSTER,
      [Tag.uid]: "uid-ada",
    });
    expect(world.cloud.count("launch")).to.equal(1);
  });

  it("takes machine and data volume up where both bear its own tag, and wakes them", async () => {
    const world = await moved();
    const [volume = ""] = world.cloud.volumes.keys();
    for (const id of [volume, "i-1"]) {
      await world.cloud.tag(id, { [Tag.cluster]: CLUSTER });
    }
    await world.dependencies.listMachines();
    await world.run(5 * MINUTE);
    expect(world.satellite().status).to.nested.include({ "machine.id": "i-1", "volume.id": volume });
    expect(world.cloud.volumes.get(volume)?.tags[Tag.uid]).to.equal("uid-anew");
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    expect(world.cloud.count("launch")).to.equal(1);
  });
});

describe("deletion with policy Retain", () => {
  /** What becomes of an awake machine when its satellite is deleted. */
  async function retained(options: WorldOptions): Promise<World> {
    const world = new World(options);
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    world.edit(({ metadata }) => {
      metadata.deletionTimestamp = "2026-01-01T00:01:00Z";
    });
    await world.run(MINUTE);
    return world;
  }
  const retaining = satellite({ spec: { deletionPolicy: "Retain" } });
  const runningOn = satellite({
    spec: { deletionPolicy: "Retain" },
    annotations: { "satellites.dev/retain-running": "true" },
  });

  it("lets the machine run on where that is asked for", async () => {
    const world = await retained({ satellites: [runningOn] });
    expect(world.exists()).to.equal(false);
    expect(world.cloud.machines.get("i-1")).to.include({ state: "running" });
    expect(world.cloud.count("stop")).to.equal(0);
  });

  it("lets no machine run on past the limit of its class", async () => {
    const limited = satelliteClass({ maxAwake: { perNamespace: 1 } });
    const world = await retained({ satellites: [runningOn], satelliteClass: limited });
    expect(world.exists()).to.equal(false);
    expect(world.cloud.machines.get("i-1")).to.include({ state: "stopped" });
  });

  it("stops a machine without its memory where that cannot be kept", async () => {
    const world = new World({ satellites: [retaining] });
    await world.run(MINUTE);
    world.cloud.fail("stop", "hibernation-unsupported", 1);
    world.edit(({ metadata }) => {
      metadata.deletionTimestamp = "2026-01-01T00:01:00Z";
    });
    await world.run(MINUTE);
    expect(world.exists()).to.equal(false);
    expect(world.cloud.machines.get("i-1")).to.include({ state: "stopped" });
  });

  it("stops the machine with its memory, tagged so that nothing counts it as ours", async () => {
    const world = await retained({ satellites: [retaining] });
    expect(world.exists()).to.equal(false);
    expect(world.cloud.machines.get("i-1")).to.include({ state: "stopped" });
    expect([...world.cloud.hibernated]).to.deep.equal(["i-1"]);
    expect(world.cloud.machines.get("i-1")?.tags).to.include({ [Tag.retained]: "true", [Tag.cluster]: "" });
    expect(await world.cloud.list()).to.deep.equal([]);
    expect(world.cloud.count("terminate")).to.equal(0);
  });

  it("believes no description of before a start that says that the machine is down", async () => {
    const world = new World({ satellites: [retaining] });
    await world.run(MINUTE);
    world.setPower("off");
    await world.run(MINUTE);
    const down = structuredClone(world.cloud.machines.get("i-1"));
    expect(down).to.include({ state: "stopped" });
    world.setPower("on");
    await world.run(2000);
    expect(world.satellite().status.phase).to.equal("Running");
    world.cloud.remembered.set("i-1", down ?? machine());
    world.edit(({ metadata }) => {
      metadata.deletionTimestamp = "2026-01-01T00:03:00Z";
    });
    await world.run(5000);
    world.cloud.remembered.clear();
    await world.run(MINUTE);
    expect(world.exists()).to.equal(false);
    expect(world.cloud.machines.get("i-1")).to.include({ state: "stopped" });
  });

  it("keeps the satellite until the machine is tagged", async () => {
    const world = new World({ satellites: [satellite({ spec: { deletionPolicy: "Retain" } })] });
    await world.run(MINUTE);
    world.cloud.fail("tag", "server", 3);
    world.edit(({ metadata }) => {
      metadata.deletionTimestamp = "2026-01-01T00:01:00Z";
    });
    await world.run(100);
    expect(world.exists()).to.equal(true);
    await world.run(MINUTE);
    expect(world.exists()).to.equal(false);
    expect(world.cloud.machines.get("i-1")?.tags[Tag.retained]).to.equal("true");
  });
});
