import {
  AttachVolumeCommand,
  CreateTagsCommand,
  CreateVolumeCommand,
  DeleteVolumeCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  type CreateVolumeCommandInput,
  type EC2Client,
} from "@aws-sdk/client-ec2";
import { expect } from "chai";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ec2Model, type Ec2ModelOptions } from "../../../src/local/ec2/model.ts";
import { fileStore } from "../../../src/local/ec2/record-store.ts";
import { VirtualHypervisor } from "../../../src/local/ec2/virtual-hypervisor.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { REGION, startEndpoint, SUBNET_B, type HttpEndpoint } from "./endpoint-over-http.ts";
import { LAUNCH } from "./launch-parameters.ts";

const ZONE = `${REGION}a`;
const DEVICE = "/dev/sdf";
const CREATE: CreateVolumeCommandInput = {
  AvailabilityZone: ZONE,
  Size: 200,
  VolumeType: "gp3",
  Encrypted: true,
  ClientToken: "token-1",
  TagSpecifications: [{ ResourceType: "volume", Tags: [{ Key: "a", Value: "b" }] }],
};
const STOP = { hibernate: false, force: false };
const HIBERNATE = { hibernate: true, force: false };
const SLOW = { createMs: 1000, attachMs: 800, detachMs: 900 };

/** EC2's code for a refusal; undefined when there was none. */
async function codeOf(work: () => unknown): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return (error as { code?: string; name: string }).code ?? (error as Error).name;
  }
}

interface Rig {
  readonly clock: VirtualClock;
  readonly model: Ec2Model;
  readonly hypervisor: VirtualHypervisor;
  readonly id: string;
  readonly state: () => string | undefined;
}

function parameters(token = "token-1"): Parameters<Ec2Model["volumes"]["create"]>[0] {
  return {
    clientToken: token,
    requestHash: "hash",
    zone: ZONE,
    sizeGiB: 200,
    type: "gp3",
    encrypted: true,
    tags: {},
  };
}

function rig(options: Partial<Ec2ModelOptions> = {}): Rig {
  const clock = new VirtualClock();
  const hypervisor = new VirtualHypervisor(clock, { stopMs: 5000, terminateMs: 5000, hibernateMs: 5000 });
  let seed = 0;
  const random = (): number => (seed = (seed + 0.137) % 1);
  const base = { region: REGION, clock, random, hypervisor, logger: silentLogger };
  const model = new Ec2Model({ ...base, volumeScript: SLOW, ...options });
  const { id } = model.volumes.create(parameters());
  const state = (): string | undefined => {
    const volume = model.volumes.visible().find((one) => one.id === id);
    return volume?.attachment?.state ?? volume?.state;
  };
  return { clock, model, hypervisor, id, state };
}

/** A rig whose volume is attached to an instance that runs. */
async function attached(): Promise<Rig & { readonly instance: string }> {
  const given = rig();
  const { id: instance } = given.model.run(LAUNCH);
  await given.clock.advance(10_000);
  await given.model.volumes.attach(given.id, instance, DEVICE);
  await given.clock.advance(10_000);
  return { ...given, instance };
}

describe("a data volume in the model", () => {
  it("takes EC2's time for each transition", async () => {
    const { clock, model, id, state } = rig();
    const seen: (string | undefined)[] = [state()];
    const look = async (afterMs: number): Promise<void> => {
      await clock.advance(afterMs);
      seen.push(state());
    };
    await look(999);
    await look(1);
    const { id: instance } = model.run(LAUNCH);
    await clock.advance(10_000);
    await model.volumes.attach(id, instance, DEVICE);
    await look(799);
    await look(1);
    model.stop([instance], STOP);
    await clock.advance(10_000);
    await model.volumes.detach(id, instance);
    await look(899);
    await look(1);
    expect(seen).to.deep.equal([
      "creating",
      "creating",
      "available",
      "attaching",
      "attached",
      "detaching",
      "available",
    ]);
  });

  it("is on one instance at a time, of its own zone", async () => {
    const { model, clock, id, instance } = await attached();
    const { id: other } = model.run({ ...LAUNCH, clientToken: "other" });
    const { id: elsewhere } = model.run({ ...LAUNCH, subnet: SUBNET_B });
    await clock.advance(10_000);
    expect(await codeOf(() => model.volumes.attach(id, other, DEVICE))).to.equal("VolumeInUse");
    const free = model.volumes.create(parameters("token-2"));
    expect(await codeOf(() => model.volumes.attach(free.id, other, DEVICE))).to.equal("IncorrectState");
    await clock.advance(10_000);
    expect(await codeOf(() => model.volumes.attach(free.id, elsewhere, DEVICE))).to.equal(
      "InvalidVolume.ZoneMismatch",
    );
    expect(await codeOf(() => model.volumes.attach(free.id, instance, DEVICE))).to.equal(
      "InvalidParameterValue",
    );
  });

  it("is attached only to what runs or is stopped, and not to what hibernates", async () => {
    const { model, clock, id } = rig();
    await clock.advance(10_000);
    const { id: instance } = model.run(LAUNCH);
    expect(await codeOf(() => model.volumes.attach(id, instance, DEVICE))).to.equal("IncorrectState");
    await clock.advance(10_000);
    model.stop([instance], HIBERNATE);
    await clock.advance(10_000);
    expect(await codeOf(() => model.volumes.attach(id, instance, DEVICE))).to.equal("UnsupportedOperation");
  });

  it("leaves a guest that may have mounted it only when that has stopped", async () => {
    const { model, clock, id, instance, state } = await attached();
    await model.volumes.detach(id, instance);
    await clock.advance(3_600_000);
    expect(state()).to.equal("busy");
    model.stop([instance], STOP);
    await clock.advance(10_000);
    expect(state()).to.equal("available");
  });

  it("stays when its instance is terminated", async () => {
    const { model, clock, instance, state } = await attached();
    model.terminate([instance]);
    await clock.advance(1000);
    expect(state()).to.equal("attached");
    await clock.advance(10_000);
    expect(state()).to.equal("available");
  });

  it("is detached from where it is, and only then deleted", async () => {
    const { model, clock, id, instance, hypervisor } = await attached();
    const { id: other } = model.run({ ...LAUNCH, clientToken: "other" });
    expect(await codeOf(() => model.volumes.detach(id, other))).to.equal("InvalidAttachment.NotFound");
    expect(await codeOf(() => model.volumes.delete(id))).to.equal("VolumeInUse");
    model.terminate([instance]);
    await clock.advance(20_000);
    expect(await codeOf(() => model.volumes.detach(id, instance))).to.equal("IncorrectState");
    model.volumes.delete(id);
    await clock.advance(0);
    expect(await codeOf(() => model.volumes.delete(id))).to.equal("InvalidVolume.NotFound");
    expect([...hypervisor.volumeUsers.keys()]).to.deep.equal([]);
  });

  it("is one for one token, and none for the token of a deleted one", async () => {
    const { model, clock, id } = rig();
    expect(model.volumes.create(parameters()).id).to.equal(id);
    expect(await codeOf(() => model.volumes.create({ ...parameters(), requestHash: "other" }))).to.equal(
      "IdempotentParameterMismatch",
    );
    await clock.advance(10_000);
    model.volumes.delete(id);
    expect(await codeOf(() => model.volumes.create(parameters()))).to.equal("IdempotentParameterMismatch");
  });

  it("is hidden from readers for a while, as are its changes", async () => {
    const delays = [5000, 0, 5000];
    const { model, clock, id, state } = rig({ volumeDelayMs: () => delays.shift() ?? 0 });
    expect(await codeOf(() => model.volumes.lookUp([id]))).to.equal("InvalidVolume.NotFound");
    await clock.advance(5000);
    expect(state()).to.equal("available");
    const { id: instance } = model.run(LAUNCH);
    await clock.advance(5000);
    await model.volumes.attach(id, instance, DEVICE);
    expect(state()).to.equal("available");
    await clock.advance(5000);
    expect(state()).to.equal("attached");
  });

  it("is refused where the hypervisor has none, with what to do", () => {
    const clock = new VirtualClock();
    const base = { region: REGION, clock, random: Math.random, logger: silentLogger };
    const model = new Ec2Model({ ...base, hypervisor: withoutVolumes(new VirtualHypervisor(clock)) });
    expect(() => model.volumes.create(parameters())).to.throw(/spec\.ec2\.dataVolume/);
  });

  it("goes on after a restart where it was", async () => {
    const directory = mkdtempSync(join(tmpdir(), "volumes-"));
    try {
      const first = rig({ volumeStore: fileStore(directory) });
      first.model.close();
      const again = rig({ volumeStore: fileStore(directory) });
      await again.model.restore();
      await again.clock.advance(1000);
      expect(again.id).to.equal(first.id);
      expect(again.state()).to.equal("available");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

/** A hypervisor that knows nothing of volumes. */
function withoutVolumes(hypervisor: VirtualHypervisor): Ec2ModelOptions["hypervisor"] {
  return {
    launch: (spec) => hypervisor.launch(spec),
    start: (spec) => hypervisor.start(spec),
    stop: (id, options) => hypervisor.stop(id, options),
    hibernate: (id) => hypervisor.hibernate(id),
    terminate: (id) => hypervisor.terminate(id),
    consoleTail: (id, maxBytes) => hypervisor.consoleTail(id, maxBytes),
    state: (id) => hypervisor.state(id),
    onExit: () => {},
    images: () => hypervisor.images(),
  };
}

describe("the EC2 endpoint's volumes, through the SDK", () => {
  let http: HttpEndpoint;
  let send: EC2Client["send"];

  beforeEach(async () => {
    http = await startEndpoint();
    send = http.client.send.bind(http.client);
  });

  afterEach(() => http.close());

  it("are created, described, attached, tagged, detached and deleted", async () => {
    const created = await send(new CreateVolumeCommand(CREATE));
    expect(created).to.include({ State: "creating", AvailabilityZone: ZONE, Size: 200, Encrypted: true });
    expect(created.Tags).to.deep.equal([{ Key: "a", Value: "b" }]);
    const VolumeId = created.VolumeId ?? "";
    const { id: InstanceId } = http.model.run(LAUNCH);
    await http.model.settled();
    await send(new AttachVolumeCommand({ VolumeId, InstanceId, Device: DEVICE }));
    const { Volumes } = await send(new DescribeVolumesCommand({ VolumeIds: [VolumeId] }));
    expect(Volumes?.[0]?.Attachments?.[0]).to.include({ InstanceId, Device: DEVICE, State: "attached" });
    const { Reservations } = await send(new DescribeInstancesCommand({ InstanceIds: [InstanceId] }));
    const mappings = Reservations?.[0]?.Instances?.[0]?.BlockDeviceMappings ?? [];
    expect(mappings.map(({ DeviceName }) => DeviceName)).to.deep.equal(["/dev/xvda", DEVICE]);
    await send(new CreateTagsCommand({ Resources: [VolumeId], Tags: [{ Key: "c", Value: "d" }] }));
    expect(http.model.volumes.truth(VolumeId).tags).to.deep.equal({ a: "b", c: "d" });
    http.model.terminate([InstanceId]);
    await http.model.settled();
    await send(new DeleteVolumeCommand({ VolumeId }));
    expect(await codeOf(() => send(new DescribeVolumesCommand({ VolumeIds: [VolumeId] })))).to.equal(
      "InvalidVolume.NotFound",
    );
  });

  it("are found by tag, zone and status, among root volumes", async () => {
    const { VolumeId } = await send(new CreateVolumeCommand(CREATE));
    http.model.run(LAUNCH);
    const found = async (Name: string, value: string): Promise<number | undefined> =>
      (await send(new DescribeVolumesCommand({ Filters: [{ Name, Values: [value] }] }))).Volumes?.length;
    expect(await found("availability-zone", ZONE)).to.equal(2);
    expect(await found("tag:a", "b")).to.equal(1);
    expect(await found("status", "in-use")).to.equal(1);
    expect(await found("volume-id", VolumeId ?? "")).to.equal(1);
    expect(await codeOf(() => found("client-token", "token-1"))).to.equal("InvalidParameterValue");
  });

  it("are refused by the codes of EC2", async () => {
    const create = (more: Partial<CreateVolumeCommandInput>): Promise<string | undefined> =>
      codeOf(() => send(new CreateVolumeCommand({ ...CREATE, ...more })));
    expect(await create({ AvailabilityZone: "eu-west-1z" })).to.equal("InvalidZone.NotFound");
    expect(await create({ Size: undefined })).to.equal("MissingParameter");
    expect(await create({ VolumeType: "gp2", Throughput: 200 })).to.equal("InvalidParameterCombination");
    expect(await create({ SnapshotId: "snap-1" })).to.equal("UnknownParameter");
    const VolumeId = "vol-00000000000000000";
    expect(await codeOf(() => send(new DetachVolumeCommand({ VolumeId })))).to.equal(
      "InvalidVolume.NotFound",
    );
    const page = new DescribeVolumesCommand({ VolumeIds: [VolumeId], MaxResults: 5 });
    expect(await codeOf(() => send(page))).to.equal("InvalidParameterCombination");
    const attach = new AttachVolumeCommand({ VolumeId, InstanceId: "i-00000000", Device: "/dev/xvda" });
    expect(await codeOf(() => send(attach))).to.equal("InvalidParameterValue");
  });
});
