import { expect } from "chai";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { GuestDescription } from "../../src/guest/schema.ts";
import { eventually } from "../support/eventually.ts";
import { openStream, STREAM_LINES, TestSystem } from "./local-system.ts";

/** IDs of the QEMU processes of a state folder that run. */
function vmProcesses(stateDir: string): number[] {
  return globSync("/proc/[0-9]*/cmdline")
    .filter((file) => {
      try {
        const line = readFileSync(file, "utf8");
        return line.includes("qemu-system") && line.includes(join(stateDir, "ec2/vms"));
      } catch {
        // The process ended while this list was made.
        return false;
      }
    })
    .map((file) => Number(file.split("/")[2]));
}

/** One VM's life under QEMU, with kill -9 at each of its turns: what only real VMs can show. */
describe("kill -9 around a real VM", function () {
  this.timeout(240_000);
  const name = "ada";
  let test: TestSystem;
  let booted: GuestDescription;

  before(async () => {
    test = await TestSystem.start();
  });
  after(() => test?.destroy());

  const untilInstance = (state: string): Promise<true> =>
    eventually(`the instance is ${state}`, async () =>
      (await test.instances(name))[0]?.state === state ? true : undefined,
    );

  it("of everything while it boots: one VM comes up", async () => {
    await test.create(name);
    await eventually("QEMU runs", () => (vmProcesses(test.stateDir).length > 0 ? true : undefined));
    await test.kill("kubernetes", "ec2", "operator", "router");
    await test.untilPhase(name, "Running");
    booted = await test.connect(name).describe(60_000);
    expect(vmProcesses(test.stateDir)).to.have.length(1);
    expect(await test.onlyInstance(name)).to.include({ state: "running", transition: 0 });
  });

  it("of the EC2 endpoint, the API server and the operator under an open stream: it flows on", async () => {
    const { lines } = await openStream(test.connect(name));
    await test.kill("ec2", "kubernetes", "operator");
    expect(await lines).to.have.length(STREAM_LINES);
    expect(await test.onlyInstance(name)).to.include({ state: "running", transition: 0 });
  });

  it("of the EC2 endpoint while it hibernates: it sleeps, and its memory is kept", async () => {
    await test.patch(name, { desiredPower: "off" });
    await untilInstance("stopping");
    await test.kill("ec2");
    const { status } = await test.untilPhase(name, "Asleep");
    expect(status.sleep?.kind).to.equal("Hibernated");
    expect(vmProcesses(test.stateDir)).to.deep.equal([]);
  });

  it("of the operator and the API server while requests wait for it: all are answered, by one start", async () => {
    const requests = Array.from({ length: 20 }, () => test.connect(name).describe(60_000));
    await test.until(name, "it was woken", ({ spec }) => spec.desiredPower === "on");
    await test.kill("operator", "kubernetes");
    const answers = await Promise.all(requests);
    expect(new Set(answers.map(({ bootId }) => bootId))).to.deep.equal(new Set([booted.bootId]));
    expect(Math.max(...answers.map(({ calls }) => calls))).to.be.greaterThan(booted.calls + 19);
    expect(await test.onlyInstance(name)).to.include({ state: "running", transition: 2 });
  });

  it("of nothing: the whole system stops in order, and finds its VM running when it is started again", async () => {
    await test.stop();
    expect(vmProcesses(test.stateDir)).to.have.length(1);
    await test.startAgain();
    const found = await test.connect(name).describe(60_000);
    expect(found.bootId).to.equal(booted.bootId);
    expect(await test.onlyInstance(name)).to.include({ state: "running", transition: 2 });
  });

  it("of the EC2 endpoint while it is deleted: nothing of the VM is left", async () => {
    await test.delete(name);
    await test.kill("ec2");
    await test.untilGone(name);
    expect(await test.onlyInstance(name)).to.include({ state: "terminated" });
    expect(vmProcesses(test.stateDir)).to.deep.equal([]);
    expect(globSync(join(test.stateDir, "ec2/vms/*"))).to.deep.equal([]);
  });
});
