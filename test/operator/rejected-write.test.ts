import { expect } from "chai";
import { KubeError } from "../../src/kube/errors.ts";
import type { JsonPatchOperation } from "../../src/kube/client.ts";
import { satellite } from "./fixtures.ts";
import { World } from "./world.ts";

const MINUTE = 60_000;

/** Has the API server refuse, with its causes, every patch that one of `paths` is set by. */
function reject(world: World, ...paths: readonly string[]): { readonly count: () => number } {
  let count = 0;
  world.store.beforePatch = (_key, operations: readonly JsonPatchOperation[]) => {
    const field = operations.find(({ op, path }) => op !== "test" && paths.includes(path))?.path;
    if (field !== undefined) {
      count += 1;
      const causes = [
        { reason: "FieldValueTooLong", field, message: "Too long: may not be more than 9 bytes" },
      ];
      throw new KubeError({ reason: "Invalid", status: 422, message: "is invalid", causes });
    }
  };
  return { count: () => count };
}

describe("a write that the schema refuses", () => {
  const shown = (world: World): unknown => world.condition("Ready");
  const told = (world: World): string[] => [
    ...world.events.map(({ reason }) => `event ${reason}`),
    ...world.logger.lines.filter(({ level }) => level === "error").map(() => "error line"),
  ];

  it("of a launch's plan is shown on the satellite, in an event and in the log, and launches nothing", async () => {
    const world = new World();
    const rejected = reject(world, "/status/launch");
    await world.run(30 * MINUTE);
    expect(shown(world)).to.include({ status: "False", reason: "WriteRejected" });
    expect(world.condition("Ready")?.message).to.contain("/status/launch: Too long");
    expect(world.satellite().status.phase).to.equal("Failed");
    expect(world.condition("Stalled")).to.include({ status: "True", reason: "WriteRejected" });
    expect(world.satellite().status.observedGeneration).to.equal(world.satellite().metadata.generation);
    expect(told(world)).to.include("event WriteRejected");
    expect(world.cloud.count("launch")).to.equal(0);
    expect(rejected.count()).to.be.within(2, 40);
  });

  it("of a move is shown, is tried again with growing pauses, and is forgotten when it is stored", async () => {
    const world = new World();
    await world.run(MINUTE);
    const rejected = reject(world, "/status/sleep");
    world.setPower("off");
    await world.run(30 * MINUTE);
    expect(shown(world)).to.include({ status: "False", reason: "WriteRejected" });
    expect(told(world)).to.include.members(["event WriteRejected", "error line"]);
    expect(rejected.count()).to.be.within(10, 40);
    world.store.beforePatch = () => {};
    await world.run(5 * MINUTE);
    expect(world.satellite().status.phase).to.equal("Asleep");
    expect(shown(world)).to.include({ status: "True" });
    expect(world.condition("Stalled")).to.include({ status: "False" });
  });

  it("is told by event and log where even the condition cannot be stored, without a storm of writes", async () => {
    const world = new World();
    await world.run(MINUTE);
    const rejected = reject(world, "/status/sleep", "/status/conditions", "/status/power");
    world.setPower("off");
    await world.run(30 * MINUTE);
    expect(told(world)).to.include.members(["event WriteRejected", "error line"]);
    expect(rejected.count()).to.be.within(10, 80);
    expect(world.thrown).to.deep.equal([]);
  });
});

describe("a satellite at the limits of names", () => {
  const NAMESPACE = "n".repeat(63);
  const NAME = "s".repeat(253);

  it("is launched, and its tags are no longer than clouds take", async () => {
    const world = new World({
      satellites: [satellite({ namespace: NAMESPACE, name: NAME, uid: "uid-ada" })],
    });
    await world.run(MINUTE);
    const [machine] = world.cloud.machines.values();
    expect(machine?.tags["Name"]).to.have.length(256);
    expect(machine?.tags).to.include({ "satellites.dev/namespace": NAMESPACE, "satellites.dev/name": NAME });
    expect(world.thrown).to.deep.equal([]);
  });

  it("keeps a guest's boot ID within its bounds, however long the guest says it is", async () => {
    const world = new World();
    await world.run(0);
    world.cloud.bootIDs.set("i-1", "b".repeat(5000));
    await world.run(MINUTE);
    expect(world.satellite().status).to.nested.include({
      phase: "Running",
      "machine.bootID": "b".repeat(64),
    });
  });
});
