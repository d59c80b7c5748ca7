import { expect } from "chai";
import { Ec2Model, type Ec2ModelOptions } from "../../../src/local/ec2/model.ts";
import { AddressPool } from "../../../src/local/ec2/addresses.ts";
import { EC2_LIKE_SCRIPT, VirtualHypervisor } from "../../../src/local/ec2/virtual-hypervisor.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { REGION } from "./endpoint-over-http.ts";
import { LAUNCH } from "./launch-parameters.ts";

const STOP = { hibernate: false, force: false };
const HIBERNATE = { hibernate: true, force: false };

function rig(options: Partial<Ec2ModelOptions> = {}): {
  readonly clock: VirtualClock;
  readonly hypervisor: VirtualHypervisor;
  readonly model: Ec2Model;
  readonly state: (id: string) => string | undefined;
} {
  const clock = new VirtualClock();
  const hypervisor = new VirtualHypervisor(clock, EC2_LIKE_SCRIPT);
  let seed = 0;
  const random = (): number => (seed = (seed + 0.137) % 1);
  const model = new Ec2Model({ region: REGION, clock, random, hypervisor, logger: silentLogger, ...options });
  return {
    clock,
    hypervisor,
    model,
    state: (id) => model.instances.visible().find((one) => one.id === id)?.state,
  };
}

describe("life of an instance in the model", () => {
  it("takes EC2's time for each transition", async () => {
    const { clock, model, state } = rig();
    const { id } = model.run(LAUNCH);
    const seen: string[] = [];
    const look = async (afterMs: number): Promise<void> => {
      await clock.advance(afterMs);
      seen.push(state(id) ?? "missing");
    };
    await look(4_799);
    await look(1);
    model.stop([id], STOP);
    await look(22_999);
    await look(1);
    model.start([id]);
    await look(16_999);
    await look(1);
    model.terminate([id]);
    await look(4_999);
    await look(1);
    expect(seen).to.deep.equal([
      "pending",
      "running",
      "stopping",
      "stopped",
      "pending",
      "running",
      "shutting-down",
      "terminated",
    ]);
  });

  it("keeps the boot over hibernation and loses it over a stop", async () => {
    const { clock, hypervisor, model } = rig();
    const { id } = model.run(LAUNCH);
    await clock.advance(60_000);
    model.stop([id], HIBERNATE);
    await clock.advance(60_000);
    model.start([id]);
    await clock.advance(60_000);
    expect(hypervisor.vm(id)).to.include({ state: "running", boot: 1 });
    model.stop([id], STOP);
    await clock.advance(60_000);
    model.start([id]);
    await clock.advance(60_000);
    expect(hypervisor.vm(id)).to.include({ state: "running", boot: 2 });
  });

  it("says nothing when the guest could not hibernate: only the next boot shows it", async () => {
    const { clock, hypervisor, model } = rig();
    hypervisor.script.hibernationFails = () => true;
    const { id } = model.run(LAUNCH);
    await clock.advance(60_000);
    model.stop([id], HIBERNATE);
    await clock.advance(60_000);
    const [instance] = model.instances.lookUp([id]);
    expect(instance).to.include({ state: "stopped" });
    expect(instance?.stateReason?.code).to.equal("Client.UserInitiatedHibernate");
    model.start([id]);
    await clock.advance(60_000);
    expect(hypervisor.vm(id)?.boot).to.equal(2);
  });

  it("keeps memory for sixty days and no longer, and does not say that it is lost", async () => {
    const { clock, hypervisor, model } = rig();
    const { id } = model.run(LAUNCH);
    const boots: (number | undefined)[] = [];
    for (const days of [60, 61]) {
      await clock.advance(60_000);
      model.stop([id], HIBERNATE);
      await clock.advance(days * 24 * 3_600_000);
      model.start([id]);
      await clock.advance(60_000);
      boots.push(hypervisor.vm(id)?.boot);
    }
    expect(boots).to.deep.equal([1, 2]);
  });

  it("refuses to start what is stopping, and to hibernate what booted just now", async () => {
    const { clock, model } = rig({ hibernationReadyAfterMs: 120_000 });
    const { id } = model.run(LAUNCH);
    await clock.advance(60_000);
    expect(() => model.stop([id], HIBERNATE)).to.throw("not ready to hibernate yet");
    model.stop([id], STOP);
    expect(() => model.start([id])).to.throw(`'${id}' is not in a state from which it can be started`);
  });

  it("frees a guest that hangs in its shutdown only by force", async () => {
    const { clock, hypervisor, model, state } = rig();
    hypervisor.script.stopHangs = () => true;
    const { id } = model.run(LAUNCH);
    await clock.advance(60_000);
    model.stop([id], HIBERNATE);
    await clock.advance(3_600_000);
    expect(state(id)).to.equal("stopping");
    model.stop([id], { hibernate: false, force: true });
    await clock.advance(0);
    expect(state(id)).to.equal("stopped");
    expect(hypervisor.vm(id)?.state).to.equal("stopped");
  });

  it("terminates a guest that hangs in its shutdown", async () => {
    const { clock, hypervisor, model, state } = rig();
    hypervisor.script.stopHangs = () => true;
    const { id } = model.run(LAUNCH);
    await clock.advance(60_000);
    model.stop([id], STOP);
    await clock.advance(60_000);
    model.terminate([id]);
    await clock.advance(4_000);
    expect(state(id)).to.equal("shutting-down");
    await clock.advance(1_000);
    expect(state(id)).to.equal("terminated");
    expect(hypervisor.ids()).to.deep.equal([]);
  });

  it("leaves nothing when it is terminated while it boots", async () => {
    const { clock, hypervisor, model, state } = rig();
    hypervisor.script.terminateMs = 0;
    const { id } = model.run(LAUNCH);
    await clock.advance(1_000);
    model.terminate([id]);
    await clock.advance(60_000);
    expect(state(id)).to.equal("terminated");
    expect(hypervisor.ids()).to.deep.equal([]);
  });

  it("takes a guest that shut itself down for stopped, or terminates it where that was wished", async () => {
    const { clock, hypervisor, model, state } = rig();
    const { id } = model.run(LAUNCH);
    const fleeting = model.run({ ...LAUNCH, shutdownBehavior: "terminate" }).id;
    await clock.advance(60_000);
    hypervisor.exit(id);
    hypervisor.exit(fleeting);
    await clock.advance(60_000);
    expect([state(id), state(fleeting)]).to.deep.equal(["stopped", "terminated"]);
    expect(model.instances.truth(id).stateReason?.code).to.equal("Client.InstanceInitiatedShutdown");
  });

  it("ends a launch that fails with the reason, and stops a start that fails", async () => {
    const { clock, hypervisor, model, state } = rig();
    const { id } = model.run(LAUNCH);
    await clock.advance(60_000);
    model.stop([id], STOP);
    await clock.advance(60_000);
    hypervisor.script.bootFails = () => new Error("no disk");
    const failed = model.run(LAUNCH).id;
    model.start([id]);
    await clock.advance(60_000);
    expect([state(id), state(failed)]).to.deep.equal(["stopped", "terminated"]);
    expect(model.instances.truth(failed).stateReason).to.deep.equal({
      code: "Server.InternalError",
      message: "Internal error on launch: no disk",
    });
  });

  it("forces a reboot of a hung guest after four minutes", async () => {
    const { clock, hypervisor, model } = rig();
    const { id } = model.run(LAUNCH);
    await clock.advance(60_000);
    hypervisor.script.stopHangs = () => true;
    model.reboot([id]);
    await clock.advance(239_000);
    expect(hypervisor.vm(id)?.boot).to.equal(1);
    await clock.advance(30_000);
    expect(hypervisor.vm(id)).to.include({ boot: 2, state: "running" });
  });

  describe("with a scheduled event", () => {
    const inMs = ({ clock }: ReturnType<typeof rig>, ms: number): string =>
      new Date(clock.now().getTime() + ms).toISOString();
    const HOUR = 3_600_000;
    const schedule = async (code: string): Promise<ReturnType<typeof rig> & { readonly id: string }> => {
      const given = rig();
      const { id } = given.model.run(LAUNCH);
      await given.clock.advance(60_000);
      given.model.schedule(id, { code, description: "degraded hardware", notBefore: inMs(given, 48 * HOUR) });
      return { ...given, id };
    };

    it("is stopped when its time has come, and EC2 says who it was", async () => {
      const { clock, model, state, id } = await schedule("instance-retirement");
      await clock.advance(48 * HOUR - 1);
      expect(state(id)).to.equal("running");
      await clock.advance(60_000);
      expect(state(id)).to.equal("stopped");
      expect(model.instances.truth(id).stateReason?.code).to.equal("Server.ScheduledStop");
    });

    it("is left alone when it was stopped and started before; the event is listed as completed", async () => {
      const { clock, model, state, id } = await schedule("instance-stop");
      model.stop([id], STOP);
      await clock.advance(60_000);
      expect(model.instances.truth(id).events[0]?.description).to.equal("degraded hardware");
      model.start([id]);
      await clock.advance(60_000);
      expect(model.instances.truth(id).events[0]?.description).to.equal("[Completed] degraded hardware");
      await clock.advance(100 * HOUR);
      expect(state(id)).to.equal("running");
    });

    it("is booted anew by the reboot of its host, whatever its user rebooted before", async () => {
      const { clock, hypervisor, model, id } = await schedule("system-reboot");
      model.reboot([id]);
      await clock.advance(60_000);
      const { boot } = hypervisor.vm(id) ?? {};
      await clock.advance(49 * HOUR);
      expect(hypervisor.vm(id)?.boot).to.equal((boot ?? 0) + 1);
    });
  });

  it("needs capacity to start again, too", async () => {
    const { clock, model } = rig();
    const { id } = model.run(LAUNCH);
    await clock.advance(60_000);
    model.stop([id], STOP);
    await clock.advance(60_000);
    model.capacity.setPool("eu-west-1a", "m7i.large", 0);
    expect(() => model.start([id])).to.throw("sufficient m7i.large capacity");
    model.capacity.setPool("eu-west-1a", "m7i.large", undefined);
    model.start([id]);
  });

  it("shows a terminated instance for an hour and knows its token for a day", async () => {
    const { clock, model, state } = rig();
    const launch = { ...LAUNCH, clientToken: "t" };
    const { id } = model.run(launch);
    await clock.advance(60_000);
    model.terminate([id]);
    await clock.advance(3_600_000);
    expect(state(id)).to.equal("terminated");
    await clock.advance(60_000);
    expect(state(id)).to.equal(undefined);
    expect(() => model.instances.lookUp([id])).to.throw("does not exist");
    expect(() => model.run(launch)).to.throw("has been terminated");
    await clock.advance(24 * 3_600_000);
    expect(model.run(launch).id).not.to.equal(id);
  });

  it("hides changes from readers for a while, and new instances altogether", async () => {
    let delayMs = 3_000;
    const { clock, hypervisor, model, state } = rig({ visibilityDelayMs: () => delayMs });
    const { id } = model.run(LAUNCH);
    await clock.advance(2_999);
    expect(state(id)).to.equal(undefined);
    expect(() => model.start([id])).to.throw("does not exist");
    await clock.advance(1);
    expect(state(id)).to.equal("pending");
    await clock.advance(10_000);
    expect(state(id)).to.equal("running");
    model.stop([id], STOP);
    delayMs = 0;
    hypervisor.script.stopMs = 0;
    await clock.advance(2_999);
    expect(state(id)).to.equal("running");
    await clock.advance(30_000);
    expect(state(id)).to.equal("stopped");
  });

  it("gives addresses of terminated instances out again as late as it can", () => {
    const pool = new AddressPool({ id: "subnet-a", zone: "z", cidr: "127.77.0.0/28" });
    expect(pool.size).to.equal(11);
    const first = pool.take(new Set());
    const seen = Array.from({ length: 10 }, () => pool.take(new Set()));
    expect(seen).not.to.include(first);
    expect(pool.take(new Set())).to.equal(first);
    const all = new Set([first, ...seen]);
    expect(() => pool.take(all)).to.throw("does not have enough free addresses");
  });
});
