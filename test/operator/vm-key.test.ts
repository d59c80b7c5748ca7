import { expect } from "chai";
import { SATELLITE_CLASSES } from "../../src/satellite/resource.ts";
import { satelliteClass } from "./fixtures.ts";
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
