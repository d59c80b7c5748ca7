import { DescribeInstancesCommand, EC2Client, RunInstancesCommand } from "@aws-sdk/client-ec2";
import { expect } from "chai";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock.ts";
import { startLocalEc2, type LocalEc2 } from "../../../src/local/ec2/local-ec2.ts";
import { VirtualHypervisor } from "../../../src/local/ec2/virtual-hypervisor.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { GROUP, IMAGE, REGION, SUBNET_A } from "./endpoint-over-http.ts";

describe("startLocalEc2", () => {
  let stateDir: string;
  beforeEach(() => {
    stateDir = mkdtempSync(join(tmpdir(), "local-ec2-"));
  });
  afterEach(() => rmSync(stateDir, { recursive: true }));

  const hypervisor = new VirtualHypervisor(systemClock);
  const start = (): Promise<LocalEc2> =>
    startLocalEc2({
      region: REGION,
      port: 0,
      stateDir,
      hypervisor,
      clock: systemClock,
      random: Math.random,
      logger: silentLogger,
      guestSize: () => ({ vcpus: 1, memoryMiB: 256 }),
    });
  const clientOf = (ec2: LocalEc2): EC2Client =>
    new EC2Client({
      region: REGION,
      endpoint: ec2.url,
      credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "example" },
    });

  it("has the same instances after a restart, and guests of the size that it was told", async () => {
    const before = await start();
    const client = clientOf(before);
    const { Instances } = await client.send(
      new RunInstancesCommand({
        MinCount: 1,
        MaxCount: 1,
        ImageId: IMAGE,
        InstanceType: "m7i.large",
        SubnetId: SUBNET_A,
        SecurityGroupIds: [GROUP],
      }),
    );
    const id = Instances?.[0]?.InstanceId ?? "";
    await before.model.settled();
    expect(hypervisor.vm(id)?.spec).to.include({ vcpus: 1, memoryMiB: 256 });
    client.destroy();
    await before.close();

    const after = await start();
    const again = clientOf(after);
    const { Reservations } = await again.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    expect(Reservations?.[0]?.Instances?.[0]?.State?.Name).to.equal("running");
    again.destroy();
    await after.close();
  });
});
