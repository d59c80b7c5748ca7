import { expect } from "chai";
import { MachineDirectory } from "../../src/operator/machine-directory.ts";
import { machine } from "./fixtures.ts";

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
});
