import { expect } from "chai";
import { MachineDirectory, type SatelliteFinder } from "../../src/operator/machine-directory.ts";
import { machine, satellite } from "./fixtures.ts";

const KEY = "team-a/ada";

describe("the machine directory", () => {
  it("proves nothing before the first complete list", () => {
    const directory = new MachineDirectory();
    expect(directory.complete).to.equal(false);
    directory.replace([]);
    expect(directory.complete).to.equal(true);
  });

  it("names machines that appeared, changed their state or vanished", () => {
    const directory = new MachineDirectory();
    expect([...directory.replace([machine()]).ids]).to.deep.equal(["i-1"]);
    expect([...directory.replace([machine()]).ids]).to.deep.equal([]);
    expect([...directory.replace([machine({ state: "stopped" })]).ids]).to.deep.equal(["i-1"]);
    expect([...directory.replace([]).ids]).to.deep.equal(["i-1"]);
  });

  it("finds the live machine that is tagged with a satellite's name", () => {
    const directory = new MachineDirectory();
    directory.replace([machine({ id: "i-old", state: "terminated" }), machine({ id: "i-new" })]);
    expect(directory.ownedBy(KEY, "uid-ada", "offer")?.id).to.equal("i-new");
    expect(directory.ownedBy("team-a/bob", "uid-bob", "offer")).to.equal(undefined);
  });

  it("does not count what was left behind on purpose, or has no owner", () => {
    const directory = new MachineDirectory();
    const { tags } = machine();
    directory.replace([
      machine({ id: "i-kept", tags: { ...tags, "satellites.dev/retained": "true" } }),
      machine({ id: "i-nobodys", tags: {} }),
    ]);
    expect(directory.ownedBy(KEY, "uid-ada", "offer")).to.equal(undefined);
  });

  it("names the satellites whose machine has changed, or was kept aside", () => {
    const directory = new MachineDirectory();
    const aside = machine({
      tags: { ...machine().tags, "satellites.dev/orphaned-at": "2026-01-01T00:00:00Z" },
    });
    expect([...directory.replace([machine()]).owners]).to.deep.equal([KEY]);
    expect([...directory.replace([machine()]).owners]).to.deep.equal([]);
    expect([...directory.replace([aside]).owners]).to.deep.equal([KEY]);
  });
});

describe("machines that run and that no satellite names", () => {
  const tags = { ...machine().tags, "satellites.dev/class": "default" };
  const nobody = { naming: () => [], get: () => undefined };
  const ids = (directory: MachineDirectory, finder: SatelliteFinder = nobody): string[] =>
    directory.unnamed("default", finder).map(({ id }) => id);

  it("are those of the class, and those whose class is not known", () => {
    const directory = new MachineDirectory();
    directory.replace([
      machine({ id: "i-1", tags }),
      machine({ id: "i-2" }),
      machine({ id: "i-3", tags: { ...tags, "satellites.dev/class": "other" } }),
      machine({ id: "i-4", tags, state: "stopped" }),
    ]);
    expect(ids(directory)).to.deep.equal(["i-1", "i-2"]);
  });

  it("are not those that a satellite names, or is about to name", () => {
    const directory = new MachineDirectory();
    directory.replace([machine({ id: "i-1", tags })]);
    const namer = satellite({ status: { machine: { id: "i-1" } } });
    expect(ids(directory, { naming: () => [namer], get: () => namer })).to.deep.equal([]);
    expect(ids(directory, { naming: () => [], get: () => satellite() })).to.deep.equal([]);
    const other = satellite({ status: { machine: { id: "i-2" } } });
    expect(ids(directory, { naming: () => [], get: () => other })).to.deep.equal(["i-1"]);
  });

  it("are there before a list shows them, when a satellite went and nobody dealt with its machine", () => {
    const running = satellite({
      status: {
        machine: { id: "i-1" },
        power: { state: "Running", epoch: 1, accepted: true, fence: 0 },
      },
    });
    const directory = new MachineDirectory();
    directory.replace([]);
    directory.noteGone(running);
    expect(ids(directory)).to.deep.equal(["i-1"]);
    directory.replace([machine({ tags })]);
    expect(ids(directory)).to.deep.equal(["i-1"]);
    directory.forget("i-1");
    expect(ids(directory)).to.deep.equal([]);
  });
});
