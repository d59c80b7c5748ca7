import { expect } from "chai";
import { STATE_REASONS, stateReason } from "../../../src/machines/ec2/state-reasons.ts";
import { createAccount, launchOne } from "./ec2-account.ts";

describe("reasons for which EC2 changes the state of an instance", () => {
  it("are all that AWS documents", () => {
    // EC2 API reference, "StateReason".
    expect(Object.keys(STATE_REASONS).sort()).to.deep.equal([
      "Client.InstanceInitiatedShutdown",
      "Client.InstanceTerminated",
      "Client.InternalError",
      "Client.InvalidSnapshot.NotFound",
      "Client.UserInitiatedHibernate",
      "Client.UserInitiatedShutdown",
      "Client.VolumeLimitExceeded",
      "Server.InsufficientInstanceCapacity",
      "Server.InternalError",
      "Server.ScheduledStop",
      "Server.SpotInstanceShutdown",
      "Server.SpotInstanceTermination",
    ]);
  });

  for (const code of Object.keys(STATE_REASONS)) {
    it(`say what to do: ${code}`, () => {
      const { reason, advice } = stateReason(code, "");
      expect(reason).to.match(/^(?:[A-Z][a-z0-9]+)+$/);
      expect(advice.length).to.be.greaterThan(20);
    });
  }

  it("keep their own name where nobody has heard of them", () => {
    expect(stateReason("Server.Some.NewReason", "words")).to.include({
      code: "Server.Some.NewReason",
      message: "words",
      reason: "ServerSomeNewReason",
    });
    expect(stateReason("", "").reason).to.equal("MachineEnded");
  });

  it("are read off the wire of a start that was accepted and came to nothing", async () => {
    const account = createAccount();
    const { machine } = await launchOne(account);
    await account.run(account.cloud.stop(machine.id, { hibernate: false, force: false }));
    await account.clock.advance(60_000);
    account.endpoint.faults.add({
      action: "StartInstances",
      kind: "fail-later",
      code: "Server.InsufficientInstanceCapacity",
      message: "no room",
      delayMs: 3000,
    });
    await account.run(account.cloud.start(machine.id));
    expect(await account.run(account.cloud.describe(machine.id, 0))).to.include({ state: "pending" });
    await account.clock.advance(3000);
    const seen = await account.run(account.cloud.describe(machine.id, 0));
    expect(seen).to.include({ state: "stopped" });
    expect(seen?.stateReason).to.include({ code: "Server.InsufficientInstanceCapacity", message: "no room" });
  });

  it("end an instance that was to be launched", async () => {
    const account = createAccount();
    account.endpoint.faults.add({ action: "RunInstances", kind: "fail-later", code: "Client.InternalError" });
    const { machine } = await launchOne(account);
    await account.clock.advance(10_000);
    const seen = await account.run(account.cloud.describe(machine.id, 0));
    expect(seen).to.include({ state: "terminated" });
    expect(seen?.stateReason).to.include({ reason: "VolumeNotUsable" });
  });
});
