import { expect } from "chai";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { World } from "./world.ts";

const MINUTE = 60_000;

describe("another cloud than EC2", () => {
  it("gets back what it alone needs of a launch, from an operator that has not planned it", async () => {
    const world = new World();
    world.cloud.fail("launch", "InternalError", Infinity);
    await world.run(MINUTE);
    const { details } = world.satellite().status.launch ?? {};
    expect(details).to.deep.equal({ rack: "eu-west-1a/0", diskGiB: "40" });
    world.restart();
    world.cloud.faults.length = 0;
    await world.run(MINUTE);
    expect(world.satellite().status.phase).to.equal("Running");
    expect(Object.fromEntries(world.cloud.racks)).to.deep.equal({ "i-1": "eu-west-1a/0" });
  });

  it("is made without a word of EC2's room", () => {
    const source = readFileSync(join(import.meta.dirname, "memory-cloud.ts"), "utf8");
    expect(source).not.to.match(/from ".*\/ec2\//);
  });
});
