import { expect } from "chai";
import { SATELLITE_CLASSES } from "../../src/satellite/resource.ts";
import type { SatelliteClass } from "../../src/satellite/types.ts";
import { satelliteClass } from "./fixtures.ts";
import { asleep, holders, live, publish } from "./replacement-world.ts";
import { World, type WorldOptions } from "./world.ts";

const MINUTE = 60_000;
const KEY = "a".repeat(64);
const OTHER_KEY = "b".repeat(64);

type Tls = "Required" | "Off";

function classWith(tls: Tls): NonNullable<WorldOptions["satelliteClass"]> {
  const { guest } = satelliteClass().spec;
  return satelliteClass({ guest: { ...guest, tls } });
}

/** A world whose class requires TLS and whose guests serve it. */
function tlsWorld(): World {
  const world = new World({ satelliteClass: classWith("Required") });
  world.keyOf = (id) => (id === "i-1" ? KEY : OTHER_KEY);
  return world;
}

function change(world: World, tls: Tls): void {
  world.store.put(SATELLITE_CLASSES, classWith(tls));
}

describe("the key of a VM", () => {
  it("is recorded when the machine is first ready, in the same write as that it runs", async () => {
    const world = tlsWorld();
    let before: string | undefined = "none";
    world.onProbe = () => {
      before = world.satellite().status.endpoint?.tlsFingerprint;
    };
    await world.run(MINUTE);
    const { status } = world.satellite();
    expect(status.phase).to.equal("Running");
    expect(status.endpoint).to.include({ tls: "Required", tlsFingerprint: KEY });
    expect(before, "while it came up").to.equal(undefined);
    expect(world.thrown).to.deep.equal([]);
  });

  it("stays through sleep and wake", async () => {
    const world = tlsWorld();
    await world.run(MINUTE);
    world.setPower("off");
    await world.run(MINUTE);
    expect(world.satellite().status.endpoint?.tlsFingerprint).to.equal(KEY);
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "endpoint.tlsFingerprint": KEY });
  });

  it("goes with the machine, and the next machine's is recorded", async () => {
    const world = tlsWorld();
    await world.run(MINUTE);
    const machine = world.cloud.machines.get("i-1");
    if (machine !== undefined) {
      machine.state = "terminated";
    }
    await world.run(5 * MINUTE);
    const { status } = world.satellite();
    expect(status.machine?.id).not.to.equal("i-1");
    expect(status.endpoint?.tlsFingerprint).to.equal(OTHER_KEY);
  });

  it("is not recorded where the cloud no longer says that the machine is there after the handshake", async () => {
    const world = tlsWorld();
    world.onProbe = () => {
      const machine = world.cloud.machines.get("i-1");
      if (machine !== undefined && !world.cloud.remembered.has("i-1")) {
        world.cloud.remembered.set("i-1", structuredClone(machine));
        machine.state = "shutting-down";
      }
    };
    world.alwaysAnswers = true;
    await world.run(10_000);
    expect(world.satellite().status.endpoint?.tlsFingerprint).to.equal(undefined);
    expect(world.satellite().status.power.state).to.equal("Starting");
  });

  it("is never replaced: a VM that shows another is not ready, and its conditions say what to do", async () => {
    const world = tlsWorld();
    await world.run(MINUTE);
    world.setPower("off");
    await world.run(MINUTE);
    world.keyOf = () => OTHER_KEY;
    world.setPower("on");
    await world.run(30 * MINUTE);
    const { status } = world.satellite();
    expect(status.endpoint?.tlsFingerprint).to.equal(KEY);
    expect(status).to.nested.include({ phase: "Failed", "power.state": "Starting" });
    for (const type of ["Ready", "Healthy"] as const) {
      expect(world.condition(type)).to.include({ status: "False", reason: "OtherVM" });
    }
    expect(world.condition("Ready")?.message).to.include(OTHER_KEY).and.include("remove status.endpoint");
    expect(world.cloud.count("reboot"), "a reboot gives it no other key").to.equal(0);

    world.edit((satellite) => {
      delete satellite.status.endpoint?.tlsFingerprint;
    });
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({
      phase: "Running",
      "endpoint.tlsFingerprint": OTHER_KEY,
    });
    expect(world.condition("Healthy")).to.include({ status: "True" });
  });

  it("is found to be another while the machine runs and nobody uses it", async () => {
    const world = tlsWorld();
    await world.run(MINUTE);
    world.keyOf = () => OTHER_KEY;
    await world.run(5 * MINUTE);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "OtherVM" });
    expect(world.satellite().status.endpoint?.tlsFingerprint).to.equal(KEY);
  });

  it("is missed where the guest serves plain text; the class may then give TLS up", async () => {
    const world = tlsWorld();
    world.keyOf = () => undefined;
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Failed");
    expect(world.condition("Ready")).to.include({ status: "False", reason: "TLSNotServed" });
    expect(world.condition("Ready")?.message).to.include('spec.guest.tls of the SatelliteClass to "Off"');
    change(world, "Off");
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "endpoint.tls": "Off" });
  });

  it("is not given up by the class for a machine that has one", async () => {
    const world = tlsWorld();
    await world.run(MINUTE);
    change(world, "Off");
    world.setPower("off");
    await world.run(MINUTE);
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status.endpoint).to.include({ tls: "Required", tlsFingerprint: KEY });
    expect(world.satellite().status.phase).to.equal("Running");
  });

  it("is not asked of a machine that was launched without, and the satellite says so", async () => {
    const world = new World({ satelliteClass: classWith("Off") });
    await world.run(MINUTE);
    change(world, "Required");
    world.setPower("off");
    await world.run(MINUTE);
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "endpoint.tls": "Off" });
    expect(world.condition("Updated")).to.include({ status: "False", reason: "TLSOutdated" });
  });
});

describe("the key of a machine that replaces another one", () => {
  const { guest } = satelliteClass().spec;
  const THIRD_KEY = "c".repeat(64);

  /** A sleeper with a data volume whose key is recorded; the machine that comes after its own has another. */
  function sleeper(tls: Tls = "Required"): Promise<World> {
    const keyOf = (id: string): string | undefined => (id === "i-1" ? KEY : OTHER_KEY);
    return asleep({
      classSpec: { guest: { ...guest, tls } },
      keyOf: tls === "Off" ? (): undefined => undefined : keyOf,
    });
  }

  function changeTls(world: World, tls: Tls): void {
    world.store.edit<SatelliteClass>(SATELLITE_CLASSES, { name: "default" }, ({ spec }) => {
      spec.guest.tls = tls;
    });
  }

  it("is recorded in the write that makes it the one in use, and compared before it counts as awake", async () => {
    const world = await sleeper();
    const seen: unknown[] = [];
    world.onProbe = () => {
      const { power, machine, endpoint } = world.satellite().status;
      seen.push([power.state, machine?.image, endpoint?.tlsFingerprint]);
    };
    publish(world);
    world.setPower("on");
    world.edit(({ metadata }) => {
      metadata.annotations = { "satellites.dev/update-now": "true" };
    });
    await world.run(2 * MINUTE);
    expect(seen.slice(0, 2)).to.deep.equal([
      ["Updating", "image-1", KEY],
      ["Starting", "image-2", OTHER_KEY],
    ]);
    expect(world.satellite().status).to.nested.include({
      phase: "Running",
      "endpoint.tls": "Required",
      "endpoint.tlsFingerprint": OTHER_KEY,
    });
    expect(holders(world)).to.deep.equal(["image-2"]);
    expect(world.thrown).to.deep.equal([]);
  });

  it("is learned by operators that change all the time, too", async () => {
    const world = await sleeper();
    publish(world);
    for (let step = 0; step < 150; step++) {
      world.restart();
      await world.run(900);
    }
    expect(live(world)).to.deep.equal(["image-2 stopped"]);
    expect(world.satellite().status.endpoint?.tlsFingerprint).to.equal(OTHER_KEY);
  });

  it("is not replaced when the new machine shows another one from its second look on", async () => {
    const world = await sleeper();
    world.onProbe = () => {
      if (world.satellite().status.machine?.image === "image-2") {
        world.keyOf = () => THIRD_KEY;
      }
    };
    world.setPower("on");
    world.edit(({ metadata }) => {
      metadata.annotations = { "satellites.dev/update-now": "true" };
    });
    publish(world);
    await world.run(5 * MINUTE);
    expect(world.satellite().status).to.nested.include({
      phase: "Failed",
      "power.state": "Starting",
      "endpoint.tlsFingerprint": OTHER_KEY,
    });
    expect(world.condition("Ready")).to.include({ status: "False", reason: "OtherVM" });
  });

  it("is not learned where the cloud no longer says that the machine is there after the handshake", async () => {
    const world = await sleeper();
    world.alwaysAnswers = true;
    world.onProbe = () => {
      const added = [...world.cloud.machines.values()].find(({ image }) => image === "image-2");
      if (added !== undefined && !world.cloud.remembered.has(added.id)) {
        world.cloud.remembered.set(added.id, structuredClone(added));
        added.state = "shutting-down";
      }
    };
    publish(world);
    await world.run(MINUTE);
    expect(world.cloud.remembered.size, "looks at the new machine").to.equal(1);
    expect(world.satellite().status).to.nested.include({
      "machine.id": "i-1",
      "endpoint.tlsFingerprint": KEY,
    });
  });

  it("leaves the old machine's as it was when there is a way back, and that machine is known by it", async () => {
    const world = await sleeper();
    world.keyOf = (id) => (id === "i-1" ? KEY : undefined);
    publish(world);
    await world.run(15 * MINUTE);
    expect(live(world)).to.deep.equal(["image-1 stopped"]);
    expect(world.condition("Updated")).to.include({ status: "False", reason: "TLSNotServed" });
    expect(world.satellite().status.endpoint).to.include({ tls: "Required", tlsFingerprint: KEY });
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({ phase: "Running", "endpoint.tlsFingerprint": KEY });
    world.setPower("off");
    await world.run(MINUTE);
    world.keyOf = () => OTHER_KEY;
    world.setPower("on");
    await world.run(MINUTE);
    expect(world.condition("Ready")).to.include({ status: "False", reason: "OtherVM" });
  });

  it("is asked for as the class says when the replacement is planned", async () => {
    const world = await sleeper("Off");
    changeTls(world, "Required");
    world.keyOf = (id) => (id === "i-1" ? undefined : OTHER_KEY);
    publish(world);
    await world.run(2 * MINUTE);
    expect(world.satellite().status.launch?.tls).to.equal("Required");
    expect(world.satellite().status.endpoint).to.include({ tls: "Required", tlsFingerprint: OTHER_KEY });
    expect(world.condition("Updated")).to.include({ status: "True" });
  });

  it("is not asked for where the class has given TLS up by then", async () => {
    const world = await sleeper();
    changeTls(world, "Off");
    world.keyOf = (id) => (id === "i-1" ? KEY : undefined);
    publish(world);
    await world.run(2 * MINUTE);
    expect(live(world)).to.deep.equal(["image-2 stopped"]);
    expect(world.satellite().status.endpoint).to.include({ tls: "Off" });
    expect(world.satellite().status.endpoint).not.to.have.property("tlsFingerprint");
  });

  it("is not asked for by a class that is changed between the plan and the launch", async () => {
    const world = await sleeper("Off");
    world.cloud.fail("launch", "server", 1);
    publish(world);
    while (world.satellite().status.replacement === undefined) {
      await world.run(50);
    }
    changeTls(world, "Required");
    await world.run(2 * MINUTE);
    expect(live(world)).to.deep.equal(["image-2 stopped"]);
    expect(new Set(world.tlsInUserData)).to.deep.equal(new Set(["Off"]));
    expect(world.satellite().status.endpoint).to.include({ tls: "Off" });
  });

  it("is learned anew, and the volume found, by a satellite whose status was lost", async () => {
    const world = await sleeper();
    world.edit((restored) => {
      restored.status = { power: { state: "Off", epoch: 0, accepted: false, fence: 0 }, activity: {} };
      restored.spec.desiredPower = "on";
    });
    await world.dependencies.listMachines();
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({
      phase: "Running",
      "volume.id": "vol-2",
      "endpoint.tls": "Required",
      "endpoint.tlsFingerprint": KEY,
    });
  });
});
