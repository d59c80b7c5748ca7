import { expect } from "chai";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileStore } from "../../../src/local/ec2/record-store.ts";
import { Ec2Model } from "../../../src/local/ec2/model.ts";
import { VirtualHypervisor } from "../../../src/local/ec2/virtual-hypervisor.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { REGION } from "./endpoint-over-http.ts";
import { LAUNCH } from "./launch-parameters.ts";

const STOP = { hibernate: false, force: false };
const HIBERNATE = { hibernate: true, force: false };

describe("EC2 model killed and started again", () => {
  let directory: string;
  let clock: VirtualClock;
  let hypervisor: VirtualHypervisor;
  let model: Ec2Model;

  /** A new process over the same files: VMs have outlived the old one, which writes nothing any more. */
  const restart = async (): Promise<void> => {
    model.close();
    model = open();
    await model.restore();
    await clock.settle();
  };
  const open = (): Ec2Model =>
    new Ec2Model({
      region: REGION,
      clock,
      random: Math.random,
      hypervisor,
      logger: silentLogger,
      store: fileStore(directory),
    });
  const state = (id: string): string => model.instances.truth(id).state;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "ec2-model-"));
    clock = new VirtualClock();
    hypervisor = new VirtualHypervisor(clock, {
      launchMs: 5_000,
      stopMs: 5_000,
      hibernateMs: 5_000,
      startMs: 5_000,
    });
    model = open();
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  it("knows its instances, their addresses, tokens and tags", async () => {
    const launch = { ...LAUNCH, clientToken: "t", tags: { a: "b" } };
    const instance = model.run(launch);
    await clock.advance(5_000);
    await restart();
    expect(model.instances.truth(instance.id)).to.include({
      state: "running",
      privateAddress: instance.privateAddress,
    });
    expect(model.instances.truth(instance.id).tags).to.deep.equal({ a: "b" });
    expect(model.run(launch).id).to.equal(instance.id);
    expect(model.run(LAUNCH).privateAddress).not.to.equal(instance.privateAddress);
  });

  it("carries on a launch that was under way", async () => {
    const { id } = model.run(LAUNCH);
    await clock.advance(1_000);
    await restart();
    expect(state(id)).to.equal("pending");
    await clock.advance(5_000);
    expect(state(id)).to.equal("running");
  });

  it("carries on a hibernation that was under way, as hibernation", async () => {
    const { id } = model.run(LAUNCH);
    await clock.advance(5_000);
    model.stop([id], HIBERNATE);
    await restart();
    await clock.advance(10_000);
    expect(state(id)).to.equal("stopped");
    expect(hypervisor.vm(id)?.state).to.equal("hibernated");
  });

  it("carries on a start, and a termination", async () => {
    const [a, b] = [model.run(LAUNCH).id, model.run(LAUNCH).id];
    await clock.advance(5_000);
    model.stop([a], STOP);
    await clock.advance(5_000);
    model.start([a]);
    model.terminate([b]);
    await restart();
    await clock.advance(10_000);
    expect([state(a), state(b)]).to.deep.equal(["running", "terminated"]);
    expect(hypervisor.ids()).to.deep.equal([a]);
  });

  it("takes a VM that ended meanwhile for stopped, and one whose disk is gone for terminated", async () => {
    const [a, b] = [model.run(LAUNCH).id, model.run(LAUNCH).id];
    await clock.advance(5_000);
    model.close();
    hypervisor.exit(a);
    const removed = hypervisor.terminate(b);
    await clock.advance(0);
    await removed;
    await restart();
    await clock.advance(5_000);
    expect([state(a), state(b)]).to.deep.equal(["stopped", "terminated"]);
  });

  it("keeps tombstones and forgets them in the end, files too", async () => {
    const { id } = model.run(LAUNCH);
    await clock.advance(5_000);
    model.terminate([id]);
    await clock.advance(5_000);
    await restart();
    expect(state(id)).to.equal("terminated");
    await clock.advance(25 * 3_600_000 + 5_000);
    expect(model.instances.truths()).to.deep.equal([]);
    expect(readdirSync(directory)).to.deep.equal([]);
  });

  it("ignores a file that a kill left half written, and names one that cannot be read", () => {
    writeFileSync(join(directory, "i-1.json.new"), "{");
    expect(fileStore(directory).load()).to.deep.equal([]);
    writeFileSync(join(directory, "i-1.json"), "{");
    expect(() => fileStore(directory).load()).to.throw(join(directory, "i-1.json"));
  });
});
