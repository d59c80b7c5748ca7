import { EC2Client, RunInstancesCommand, StopInstancesCommand } from "@aws-sdk/client-ec2";
import { expect } from "chai";
import { toRunInstances } from "../../../src/machines/ec2/run-instances.ts";
import { CLASS, createAccount, launchRequest } from "./ec2-account.ts";
import { faultsOf } from "./service-model.ts";

/** A class, a satellite and a guest with everything at its maximum. */
const LARGEST = launchRequest({
  owner: { namespace: "n".repeat(63), name: "s".repeat(253), uid: "11111111-0000-4000-8000-000000000001" },
  classSpec: {
    ec2: {
      ...CLASS,
      tags: Object.fromEntries(
        Array.from({ length: 30 }, (_, index) => [String(index).padStart(128, "k"), "v".repeat(256)]),
      ),
      rootVolume: { sizeGiB: 16_384, type: "io2", iops: 64_000 },
      dataVolume: { sizeGiB: 16_384, type: "gp3", iops: 16_000, throughput: 1000 },
    },
  },
  userData: "u".repeat(16_384),
});

/** Runs `work` and returns what is wrong with the requests that it makes, and how many of which action there were. */
async function requestsOf(work: () => Promise<unknown>): Promise<{ faults: string[]; actions: Set<string> }> {
  const faults: string[] = [];
  const actions = new Set<string>();
  const send = Reflect.get(EC2Client.prototype, "send") as (...args: unknown[]) => unknown;
  Object.defineProperty(EC2Client.prototype, "send", {
    configurable: true,
    writable: true,
    value(this: unknown, command: object, ...rest: unknown[]): unknown {
      faults.push(...faultsOf(command));
      actions.add(command.constructor.name.replace(/Command$/, ""));
      return send.call(this, command, ...rest);
    },
  });
  try {
    await work();
  } finally {
    Reflect.deleteProperty(EC2Client.prototype, "send");
  }
  return { faults, actions };
}

describe("every request", () => {
  it("fits the service's own model, from a launch at all limits to the end of the machine", async () => {
    const account = createAccount();
    const { cloud, model } = account;
    const run = <T>(work: Promise<T>): Promise<T> => account.run(work);
    const { faults, actions } = await requestsOf(async () => {
      await run(cloud.inspect({ classSpec: LARGEST.classSpec, types: LARGEST.types }));
      const { plan } = await run(cloud.resolve(LARGEST));
      const { id, zone } = await run(cloud.launch(plan, LARGEST.userData));
      await run(model.settled());
      const volume = await run(
        cloud.createVolume({ sizeGiB: 16_384, type: "gp3", token: plan.token, zone, tags: plan.tags }),
      );
      await run(cloud.describeVolume(volume.id));
      await run(cloud.listVolumes());
      await run(cloud.describe(id, 0));
      await run(cloud.lookUp(id));
      await run(cloud.list());
      await run(cloud.events());
      await run(cloud.tag(id, { "satellites.dev/orphaned-at": "2026-01-01T00:00:00Z" }));
      await run(cloud.lastWords(id));
      await run(cloud.reboot(id));
      await run(cloud.stop(id, { hibernate: false, force: true }));
      await run(model.settled());
      await run(cloud.changeType(id, "m7i.large"));
      await run(cloud.attachVolume(volume.id, id));
      await run(model.settled());
      await run(cloud.detachVolume(volume.id, id));
      await run(model.settled());
      await run(cloud.start(id));
      await run(cloud.terminate(id));
      await run(model.settled());
      await run(cloud.deleteVolume(volume.id));
    });
    expect(faults).to.deep.equal([]);
    expect(actions.size).to.be.at.least(19);
  });

  it("is seen to break the model where it does", () => {
    expect(faultsOf(new StopInstancesCommand({ InstanceIds: [] }))).to.deep.equal([
      "StopInstancesCommand.InstanceIds is out of bounds",
    ]);
    const wrong = { MinCount: 1, Colour: "red", ClientToken: "t".repeat(65), UserData: 7 } as unknown;
    expect(faultsOf(new RunInstancesCommand(wrong as never))).to.deep.equal([
      "RunInstancesCommand.MaxCount is required",
      "RunInstancesCommand.Colour is not in the model",
      "RunInstancesCommand.ClientToken is out of bounds",
      "RunInstancesCommand.UserData has the wrong type (schema 0)",
    ]);
  });

  it("that launches says itself what an account's or region's defaults would say in its place", async () => {
    const account = createAccount();
    const { plan } = await account.run(account.cloud.resolve(launchRequest()));
    const request = toRunInstances(plan, "/dev/xvda", "");
    expect(request.MetadataOptions).to.deep.equal({
      HttpTokens: "required",
      HttpPutResponseHopLimit: 1,
      HttpEndpoint: "enabled",
      InstanceMetadataTags: "disabled",
    });
    expect(request.NetworkInterfaces?.[0]).to.include({ AssociatePublicIpAddress: false });
    expect(request.NetworkInterfaces?.[0]?.SubnetId).to.match(/^subnet-/);
    expect(request.NetworkInterfaces?.[0]?.Groups).to.have.length.above(0);
    expect(request.BlockDeviceMappings?.[0]?.Ebs).to.include({ Encrypted: true, VolumeType: "gp3" });
    expect(request.InstanceInitiatedShutdownBehavior).to.equal("stop");
    expect(request.HibernationOptions).to.deep.equal({ Configured: true });
  });
});
