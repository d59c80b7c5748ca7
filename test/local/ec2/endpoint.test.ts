import {
  CreateTagsCommand,
  DescribeImagesCommand,
  DescribeInstanceStatusCommand,
  DescribeInstanceTypeOfferingsCommand,
  DescribeInstanceTypesCommand,
  DescribeInstancesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  DescribeVolumesCommand,
  DescribeVpcsCommand,
  GetConsoleOutputCommand,
  ModifyInstanceAttributeCommand,
  RebootInstancesCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
  paginateDescribeInstances,
  type RunInstancesCommandInput,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from "@aws-sdk/client-ec2";
import { GetParameterCommand, SSMClient } from "@aws-sdk/client-ssm";
import { expect } from "chai";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listenOnLoopback } from "../../../src/local/ec2/http-server.ts";
import { DOCUMENTED_LIMITS } from "../../../src/local/ec2/request-buckets.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import {
  GROUP,
  IMAGE,
  REGION,
  startEndpoint,
  SUBNET_A,
  SUBNET_B,
  type HttpEndpoint,
} from "./endpoint-over-http.ts";

const LAUNCH: RunInstancesCommandInput = {
  MinCount: 1,
  MaxCount: 1,
  ImageId: IMAGE,
  InstanceType: "m7i.large",
  SubnetId: SUBNET_A,
  SecurityGroupIds: [GROUP],
};

interface Refusal {
  readonly name: string;
  readonly message: string;
  readonly status: number | undefined;
}

async function refusal(work: Promise<unknown>): Promise<Refusal> {
  try {
    await work;
  } catch (error) {
    const { name, message, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } };
    return { name, message, status: $metadata?.httpStatusCode };
  }
  throw new TypeError("expected a refusal");
}

describe("EC2 endpoint, through the SDK over HTTP", () => {
  let http: HttpEndpoint;

  const launch = async (overrides: Partial<RunInstancesCommandInput> = {}): Promise<string> => {
    const { Instances } = await http.client.send(new RunInstancesCommand({ ...LAUNCH, ...overrides }));
    await http.model.settled();
    return Instances?.[0]?.InstanceId ?? "";
  };
  const refused = <Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: Parameters<typeof http.client.send<Input, Output>>[0],
  ): Promise<Refusal> => refusal(http.client.send(command));

  beforeEach(async () => {
    http = await startEndpoint({
      endpoint: { parameters: { "/images/current": IMAGE } },
      model: { instanceProfiles: ["builder"] },
    });
  });
  afterEach(() => http.close());

  describe("RunInstances", () => {
    it("answers with every field that the SDK reads back", async () => {
      const { Instances: [instance] = [], ReservationId } = await http.client.send(
        new RunInstancesCommand({
          ...LAUNCH,
          ClientToken: "token",
          HibernationOptions: { Configured: true },
          UserData: Buffer.from("#!/bin/sh\n<&>\"'").toString("base64"),
          IamInstanceProfile: { Name: "builder" },
          MetadataOptions: { HttpTokens: "required", HttpPutResponseHopLimit: 1 },
          BlockDeviceMappings: [
            {
              DeviceName: "/dev/xvda",
              Ebs: { VolumeSize: 20, VolumeType: "gp3", Iops: 4_000, Throughput: 200, Encrypted: true },
            },
          ],
          TagSpecifications: [
            { ResourceType: "instance", Tags: [{ Key: "a<&>", Value: "\"ä\" 'ü'" }] },
            { ResourceType: "volume", Tags: [{ Key: "v", Value: "w" }] },
          ],
        }),
      );
      expect(ReservationId).to.match(/^r-[0-9a-f]{17}$/);
      expect(instance).to.include({
        ImageId: IMAGE,
        InstanceType: "m7i.large",
        ClientToken: "token",
        SubnetId: SUBNET_A,
        PrivateIpAddress: "127.77.0.4",
        Architecture: "x86_64",
        RootDeviceName: "/dev/xvda",
      });
      expect(instance?.InstanceId).to.match(/^i-[0-9a-f]{17}$/);
      expect(instance?.State).to.deep.equal({ Code: 0, Name: "pending" });
      expect(instance?.LaunchTime).to.be.instanceOf(Date);
      expect(instance?.Placement?.AvailabilityZone).to.equal("eu-west-1a");
      expect(instance?.HibernationOptions).to.deep.equal({ Configured: true });
      expect(instance?.MetadataOptions).to.include({ HttpTokens: "required", HttpPutResponseHopLimit: 1 });
      expect(instance?.SecurityGroups).to.deep.equal([{ GroupId: GROUP, GroupName: "satellites" }]);
      expect(instance?.Tags).to.deep.equal([{ Key: "a<&>", Value: "\"ä\" 'ü'" }]);
      expect(instance?.IamInstanceProfile?.Arn).to.match(/instance-profile\/builder$/);
      await http.model.settled();
      const vm = http.hypervisor.vm(instance?.InstanceId ?? "");
      expect(vm?.spec).to.include({
        userData: "#!/bin/sh\n<&>\"'",
        rootVolumeGiB: 20,
        vcpus: 2,
        memoryMiB: 8192,
      });
    });

    it("takes the subnet from a network interface, as long as it wants no public address", async () => {
      const { SubnetId: _subnet, SecurityGroupIds: _groups, ...rest } = LAUNCH;
      const card = { DeviceIndex: 0, SubnetId: SUBNET_B, Groups: [GROUP], DeleteOnTermination: true };
      const run = (AssociatePublicIpAddress: boolean): RunInstancesCommand =>
        new RunInstancesCommand({ ...rest, NetworkInterfaces: [{ ...card, AssociatePublicIpAddress }] });
      const { Instances: [instance] = [] } = await http.client.send(run(false));
      expect(instance).to.include({ SubnetId: SUBNET_B, PrivateIpAddress: "127.77.1.4" });
      expect(await refused(run(true))).to.include({ name: "InvalidParameterCombination" });
    });

    it("returns the same instance for the same token and request", async () => {
      const id = await launch({ ClientToken: "t" });
      expect(await launch({ ClientToken: "t" })).to.equal(id);
      expect(http.model.instances.truths()).to.have.length(1);
    });

    it("takes tokens per zone: the same token in another zone launches a second instance", async () => {
      const id = await launch({ ClientToken: "t" });
      expect(await launch({ ClientToken: "t", SubnetId: SUBNET_B })).not.to.equal(id);
    });

    it("refuses a token with other parameters, or of a terminated instance", async () => {
      const id = await launch({ ClientToken: "t" });
      const other = new RunInstancesCommand({ ...LAUNCH, ClientToken: "t", InstanceType: "m7i.xlarge" });
      expect(await refused(other)).to.include({ name: "IdempotentParameterMismatch", status: 400 });
      await http.client.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
      await http.model.settled();
      const same = new RunInstancesCommand({ ...LAUNCH, ClientToken: "t" });
      expect(await refused(same)).to.include({ name: "IdempotentInstanceTerminated", status: 400 });
    });

    it("refuses by EC2's codes what makes no sense", async () => {
      const wrong: [Partial<RunInstancesCommandInput>, string][] = [
        [{ ImageId: "ami-0000" }, "InvalidAMIID.NotFound"],
        [{ ImageId: "debian" }, "InvalidAMIID.Malformed"],
        [{ InstanceType: "x9z.large" as "t3.micro" }, "InvalidInstanceType"],
        [{ InstanceType: "m7g.large" }, "InvalidParameterValue"],
        [{ SubnetId: "subnet-1" }, "InvalidSubnetID.NotFound"],
        [{ SecurityGroupIds: ["sg-1"] }, "InvalidGroup.NotFound"],
        [{ IamInstanceProfile: { Name: "admin" } }, "InvalidParameterValue"],
        [{ ClientToken: "x".repeat(65) }, "InvalidParameterValue"],
        [{ UserData: "%%%" }, "InvalidUserData.Malformed"],
        [{ UserData: Buffer.alloc(16_385).toString("base64") }, "InvalidParameterValue"],
        [{ MaxCount: 2, MinCount: 2 }, "InvalidParameterValue"],
        [{ KeyName: "mine" }, "UnknownParameter"],
        [{ InstanceMarketOptions: { MarketType: "spot" } }, "UnknownParameter"],
        [{ DryRun: true }, "DryRunOperation"],
        [
          { TagSpecifications: [{ ResourceType: "subnet", Tags: [{ Key: "a", Value: "b" }] }] },
          "InvalidParameterValue",
        ],
        [
          { TagSpecifications: [{ ResourceType: "instance", Tags: [{ Key: "aws:a", Value: "b" }] }] },
          "InvalidParameterValue",
        ],
        [{ HibernationOptions: { Configured: true } }, "UnsupportedHibernationConfiguration"],
        [
          {
            HibernationOptions: { Configured: true },
            BlockDeviceMappings: [{ DeviceName: "/dev/xvda", Ebs: { VolumeSize: 11, Encrypted: true } }],
          },
          "UnsupportedHibernationConfiguration",
        ],
        [
          {
            InstanceType: "g5.xlarge",
            HibernationOptions: { Configured: true },
            BlockDeviceMappings: [{ DeviceName: "/dev/xvda", Ebs: { VolumeSize: 99, Encrypted: true } }],
          },
          "UnsupportedHibernationConfiguration",
        ],
        [
          { BlockDeviceMappings: [{ DeviceName: "/dev/xvda", Ebs: { VolumeSize: 2 } }] },
          "InvalidBlockDeviceMapping",
        ],
      ];
      for (const [overrides, code] of wrong) {
        const answer = await refused(new RunInstancesCommand({ ...LAUNCH, ...overrides }));
        expect(answer.name, JSON.stringify(overrides).slice(0, 100)).to.equal(code);
      }
      expect(http.model.instances.truths()).to.deep.equal([]);
    });

    it("refuses without capacity in the zone, or above the account's quota", async () => {
      http.model.capacity.setPool("eu-west-1a", "m7i.large", 1);
      await launch();
      const another = new RunInstancesCommand(LAUNCH);
      expect(await refused(another)).to.include({ name: "InsufficientInstanceCapacity", status: 500 });
      await launch({ SubnetId: SUBNET_B });
      http.model.capacity.setVcpuQuota(4);
      const third = new RunInstancesCommand({ ...LAUNCH, SubnetId: SUBNET_B });
      expect(await refused(third)).to.include({ name: "VcpuLimitExceeded" });
    });

    it("refuses a type that the zone lacks", async () => {
      await http.close();
      http = await startEndpoint({ model: { notOffered: ["eu-west-1a/m7i.large"] } });
      expect(await refused(new RunInstancesCommand(LAUNCH))).to.include({ name: "Unsupported" });
    });
  });

  describe("changes of state", () => {
    it("does nothing when it starts a running one or stops a stopped one", async () => {
      const id = await launch();
      const started = await http.client.send(new StartInstancesCommand({ InstanceIds: [id] }));
      expect(started.StartingInstances).to.deep.equal([
        {
          InstanceId: id,
          CurrentState: { Code: 16, Name: "running" },
          PreviousState: { Code: 16, Name: "running" },
        },
      ]);
      await http.client.send(new StopInstancesCommand({ InstanceIds: [id] }));
      await http.model.settled();
      const stopped = await http.client.send(new StopInstancesCommand({ InstanceIds: [id] }));
      expect(stopped.StoppingInstances?.[0]?.CurrentState).to.deep.equal({ Code: 80, Name: "stopped" });
    });

    it("changes all or none, and names those that stand in the way", async () => {
      const [a, b] = [await launch(), await launch()];
      await http.client.send(new StopInstancesCommand({ InstanceIds: [a] }));
      await http.model.settled();
      await http.client.send(new TerminateInstancesCommand({ InstanceIds: [b] }));
      await http.model.settled();
      const both = await refused(new StartInstancesCommand({ InstanceIds: [a, b] }));
      expect(both.name).to.equal("IncorrectInstanceState");
      expect(both.message).to.include(b).and.not.include(a);
      expect(http.model.instances.truth(a).state).to.equal("stopped");
      const unknown = ["i-0000000000000000a", "i-0000000000000000b"];
      expect(await refused(new StartInstancesCommand({ InstanceIds: [a, ...unknown] }))).to.include({
        name: "InvalidInstanceID.NotFound",
        message: `The instance IDs '${unknown.join(", ")}' do not exist`,
      });
      expect(await refused(new StartInstancesCommand({ InstanceIds: ["i-foo"] }))).to.include({
        name: "InvalidInstanceID.Malformed",
      });
    });

    it("refuses to hibernate what was not launched for it", async () => {
      const id = await launch();
      const hibernate = new StopInstancesCommand({ InstanceIds: [id], Hibernate: true });
      expect(await refused(hibernate)).to.include({ name: "UnsupportedHibernationConfiguration" });
    });

    it("respects protection, and lets it be lifted", async () => {
      const id = await launch({ DisableApiTermination: true, DisableApiStop: true });
      const terminate = new TerminateInstancesCommand({ InstanceIds: [id] });
      expect(await refused(terminate)).to.include({ name: "OperationNotPermitted" });
      expect(await refused(new StopInstancesCommand({ InstanceIds: [id] }))).to.include({
        name: "OperationNotPermitted",
      });
      const lift = { InstanceId: id, DisableApiTermination: { Value: false } };
      await http.client.send(new ModifyInstanceAttributeCommand(lift));
      await http.client.send(terminate);
    });

    it("changes the type of a stopped instance, not of a hibernated or running one", async () => {
      const id = await launch({
        HibernationOptions: { Configured: true },
        BlockDeviceMappings: [{ DeviceName: "/dev/xvda", Ebs: { VolumeSize: 40, Encrypted: true } }],
      });
      const change = new ModifyInstanceAttributeCommand({
        InstanceId: id,
        InstanceType: { Value: "m7i.xlarge" },
      });
      expect(await refused(change)).to.include({ name: "IncorrectInstanceState" });
      await http.client.send(new StopInstancesCommand({ InstanceIds: [id], Hibernate: true }));
      await http.model.settled();
      expect(await refused(change)).to.include({ name: "UnsupportedOperation" });
      await http.client.send(new StartInstancesCommand({ InstanceIds: [id] }));
      await http.model.settled();
      await http.client.send(new StopInstancesCommand({ InstanceIds: [id] }));
      await http.model.settled();
      await http.client.send(change);
      await http.client.send(new StartInstancesCommand({ InstanceIds: [id] }));
      await http.model.settled();
      expect(http.hypervisor.vm(id)?.spec).to.include({ vcpus: 4 });
    });

    it("shows the newest 64 KB of a console, and of one that is empty nothing", async () => {
      const id = await launch();
      const read = new GetConsoleOutputCommand({ InstanceId: id, Latest: true });
      const { Output: nothing, ...empty } = await http.client.send(read);
      expect(nothing).to.equal(undefined);
      expect(empty).to.include({ InstanceId: id });
      expect(empty.Timestamp).to.be.instanceOf(Date);
      http.hypervisor.script.consoleOf = () => `${"x".repeat(64 * 1024)}end\r\n`;
      const { Output = "" } = await http.client.send(read);
      const text = Buffer.from(Output, "base64").toString();
      expect(text).to.have.length(64 * 1024);
      expect(text.endsWith("xend\r\n")).to.equal(true);
      const other = new GetConsoleOutputCommand({ InstanceId: "i-0123456789abcdef0" });
      expect(await refused(other)).to.include({ name: "InvalidInstanceID.NotFound", status: 400 });
      const dry = new GetConsoleOutputCommand({ InstanceId: id, DryRun: true });
      expect(await refused(dry)).to.include({ name: "DryRunOperation", status: 412 });
    });

    it("reboots only what runs", async () => {
      const id = await launch();
      await http.client.send(new RebootInstancesCommand({ InstanceIds: [id] }));
      await http.model.settled();
      await http.client.send(new StopInstancesCommand({ InstanceIds: [id] }));
      await http.model.settled();
      expect(await refused(new RebootInstancesCommand({ InstanceIds: [id] }))).to.include({
        name: "IncorrectState",
      });
    });
  });

  describe("a dry run", () => {
    const denied = { kind: "refuse", code: "UnauthorizedOperation", status: 403, times: 9 } as const;

    it("is answered by an error that says what a real request would come to, and does nothing", async () => {
      const id = await launch();
      const named = { InstanceIds: [id], DryRun: true };
      const commands = [
        new RunInstancesCommand({ ...LAUNCH, DryRun: true }),
        new StartInstancesCommand(named),
        new StopInstancesCommand(named),
        new TerminateInstancesCommand(named),
        new CreateTagsCommand({ Resources: [id], Tags: [{ Key: "a", Value: "b" }], DryRun: true }),
      ];
      for (const command of commands) {
        const answer = await refused(command as never);
        expect(answer, command.constructor.name).to.include({ name: "DryRunOperation", status: 412 });
      }
      await http.model.settled();
      expect(http.model.instances.truths().map(({ state, tags }) => [state, tags["a"]])).to.deep.equal([
        ["running", undefined],
      ]);
    });

    it("is refused for what it names", async () => {
      const unknown = { InstanceIds: ["i-00000000000000001"], DryRun: true };
      expect(await refused(new StopInstancesCommand(unknown))).to.include({
        name: "InvalidInstanceID.NotFound",
      });
      const subnet = new RunInstancesCommand({ ...LAUNCH, SubnetId: "subnet-1", DryRun: true });
      expect(await refused(subnet)).to.include({ name: "InvalidSubnetID.NotFound" });
    });

    it("is refused where the right is missing, as the real request is, which it leaves the fault to", async () => {
      http.endpoint.faults.add({ action: "RunInstances", ...denied, times: 1 });
      const dry = new RunInstancesCommand({ ...LAUNCH, SubnetId: "subnet-1", DryRun: true });
      for (const command of [dry, dry, new RunInstancesCommand(LAUNCH)]) {
        expect(await refused(command)).to.include({ name: "UnauthorizedOperation", status: 403 });
      }
      expect(await launch()).to.match(/^i-/);
    });

    it("stands in the log under a name of its own, and uses up no other fault", async () => {
      http.endpoint.faults.add({
        action: "RunInstances",
        kind: "refuse",
        code: "InsufficientInstanceCapacity",
      });
      await refused(new RunInstancesCommand({ ...LAUNCH, DryRun: true }));
      expect(http.endpoint.log.calls().map(({ action, outcome }) => [action, outcome])).to.deep.equal([
        ["DryRun RunInstances", "DryRunOperation"],
      ]);
      expect(await refused(new RunInstancesCommand(LAUNCH))).to.include({
        name: "InsufficientInstanceCapacity",
      });
    });
  });

  describe("DescribeInstances", () => {
    it("filters by tag, state and token, with wildcards; unknown filters are refused", async () => {
      const tagged = (value: string): RunInstancesCommandInput["TagSpecifications"] => [
        { ResourceType: "instance", Tags: [{ Key: "team", Value: value }] },
      ];
      const a = await launch({ TagSpecifications: tagged("alpha*"), ClientToken: "t-a" });
      const b = await launch({ TagSpecifications: tagged("beta"), ClientToken: "t-b" });
      const find = async (Name: string, ...Values: string[]): Promise<string[]> => {
        const { Reservations = [] } = await http.client.send(
          new DescribeInstancesCommand({ Filters: [{ Name, Values }] }),
        );
        return Reservations.flatMap(({ Instances = [] }) =>
          Instances.map(({ InstanceId = "" }) => InstanceId),
        );
      };
      expect(await find("tag:team", "beta")).to.deep.equal([b]);
      expect(await find("tag:team", "al*")).to.deep.equal([a]);
      expect(await find("tag:team", String.raw`alpha\*`)).to.deep.equal([a]);
      expect(await find("tag:team", String.raw`al\*`)).to.deep.equal([]);
      expect(await find("tag:team", "?eta", "alpha?")).to.deep.equal([a, b]);
      expect(await find("tag-key", "team")).to.deep.equal([a, b]);
      expect(await find("client-token", "t-b")).to.deep.equal([b]);
      expect(await find("instance-state-name", "running")).to.deep.equal([a, b]);
      const unknown = new DescribeInstancesCommand({ Filters: [{ Name: "colour", Values: ["red"] }] });
      expect(await refused(unknown)).to.include({ name: "InvalidParameterValue" });
    });

    it("gives pages that the SDK's paginator puts together; pages and IDs exclude each other", async () => {
      const ids: string[] = [];
      for (let index = 0; index < 12; index++) {
        ids.push(await launch());
      }
      const seen: string[] = [];
      let pages = 0;
      for await (const page of paginateDescribeInstances({ client: http.client, pageSize: 5 }, {})) {
        pages += 1;
        seen.push(...(page.Reservations ?? []).map(({ Instances }) => Instances?.[0]?.InstanceId ?? ""));
      }
      expect(pages).to.equal(3);
      expect(seen).to.deep.equal(ids);
      expect(await refused(new DescribeInstancesCommand({ InstanceIds: ids, MaxResults: 5 }))).to.include({
        name: "InvalidParameterCombination",
      });
      expect(await refused(new DescribeInstancesCommand({ NextToken: "made-up" }))).to.include({
        name: "InvalidNextToken",
      });
    });
  });

  it("describes what there is to launch from", async () => {
    const { Images } = await http.client.send(
      new DescribeImagesCommand({ Owners: ["self"], Filters: [{ Name: "architecture", Values: ["arm64"] }] }),
    );
    expect(Images?.map(({ ImageId }) => ImageId)).to.deep.equal(["ami-0077000000000000b"]);
    const { Subnets } = await http.client.send(new DescribeSubnetsCommand({ SubnetIds: [SUBNET_B] }));
    expect(Subnets?.[0]).to.include({ CidrBlock: "127.77.1.0/24", AvailabilityZone: "eu-west-1b" });
    const { SecurityGroups } = await http.client.send(new DescribeSecurityGroupsCommand({}));
    expect(SecurityGroups?.map(({ GroupId }) => GroupId)).to.deep.equal([GROUP]);
    const { InstanceTypes } = await http.client.send(
      new DescribeInstanceTypesCommand({ InstanceTypes: ["m7g.large"] }),
    );
    expect(InstanceTypes?.[0]).to.include({ HibernationSupported: true, BareMetal: false });
    expect(InstanceTypes?.[0]?.MemoryInfo?.SizeInMiB).to.equal(8192);
    expect(InstanceTypes?.[0]?.ProcessorInfo?.SupportedArchitectures).to.deep.equal(["arm64"]);
    const { InstanceTypeOfferings } = await http.client.send(
      new DescribeInstanceTypeOfferingsCommand({
        LocationType: "availability-zone",
        Filters: [{ Name: "instance-type", Values: ["m7i.large"] }],
      }),
    );
    expect(InstanceTypeOfferings?.map(({ Location }) => Location)).to.deep.equal([
      "eu-west-1a",
      "eu-west-1b",
    ]);
  });

  it("shows volumes until their instance is terminated, and scheduled events", async () => {
    const id = await launch();
    const volumes = async (): Promise<number> =>
      (await http.client.send(new DescribeVolumesCommand({}))).Volumes?.length ?? 0;
    expect(await volumes()).to.equal(1);
    http.model.schedule(id, {
      code: "instance-retirement",
      description: "The instance is running on degraded hardware",
      notBefore: "2096-06-01T00:00:00.000Z",
    });
    const { InstanceStatuses } = await http.client.send(new DescribeInstanceStatusCommand({}));
    expect(InstanceStatuses?.[0]?.Events?.[0]).to.include({ Code: "instance-retirement" });
    expect(InstanceStatuses?.[0]?.Events?.[0]?.NotBefore).to.be.instanceOf(Date);
    await http.client.send(new TerminateInstancesCommand({ InstanceIds: [id] }));
    await http.model.settled();
    expect(await volumes()).to.equal(0);
  });

  it("finds scheduled events by their kind, and has no filter by tag for them", async () => {
    const id = await launch();
    http.model.schedule(id, { code: "instance-stop", description: "x", notBefore: "2096-06-01T00:00:00Z" });
    const found = async (code: string): Promise<(string | undefined)[] | undefined> => {
      const Filters = [{ Name: "event.code", Values: [code] }];
      const answer = await http.client.send(new DescribeInstanceStatusCommand({ Filters }));
      return answer.InstanceStatuses?.map(({ InstanceId }) => InstanceId);
    };
    expect(await found("instance-stop")).to.deep.equal([id]);
    expect(await found("system-reboot")).to.deep.equal([]);
    const byTag = new DescribeInstanceStatusCommand({ Filters: [{ Name: "tag:a", Values: ["b"] }] });
    expect((await refusal(http.client.send(byTag))).name).to.equal("InvalidParameterValue");
  });

  it("tags instances and volumes", async () => {
    const id = await launch();
    const volume = http.model.instances.truth(id).volume.id;
    await http.client.send(
      new CreateTagsCommand({ Resources: [id, volume], Tags: [{ Key: "a", Value: "b" }] }),
    );
    expect(http.model.instances.truth(id).tags).to.deep.equal({ a: "b" });
    expect(http.model.instances.truth(id).volume.tags).to.deep.equal({ a: "b" });
  });

  it("answers SSM GetParameter, and no other action of it", async () => {
    const ssm = new SSMClient({
      region: REGION,
      endpoint: http.url,
      credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "example" },
      maxAttempts: 1,
    });
    const { Parameter } = await ssm.send(new GetParameterCommand({ Name: "/images/current" }));
    expect(Parameter?.Value).to.equal(IMAGE);
    const missing = await refusal(ssm.send(new GetParameterCommand({ Name: "/images/old" })));
    expect(missing.name).to.equal("ParameterNotFound");
    ssm.destroy();
  });

  describe("refuses", () => {
    const post = async (body: string, headers: Record<string, string> = {}): Promise<[number, string]> => {
      const response = await fetch(http.url, {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
        body,
      });
      const text = await response.text();
      return [response.status, /<Code>(.*)<\/Code>/.exec(text)?.[1] ?? text];
    };
    const signed = (region: string): Record<string, string> => ({
      authorization:
        `AWS4-HMAC-SHA256 Credential=AKID/20260101/${region}/ec2/aws4_request, ` +
        `SignedHeaders=host, Signature=${"0".repeat(64)}`,
    });

    it("requests that are not signed, or signed for another region", async () => {
      const body = "Action=DescribeInstances&Version=2016-11-15";
      expect(await post(body)).to.deep.equal([401, "AuthFailure"]);
      expect(await post(body, signed("us-east-1"))).to.deep.equal([403, "SignatureDoesNotMatch"]);
      expect((await post(body, signed(REGION)))[0]).to.equal(200);
    });

    it("actions, versions and parameters that it does not know", async () => {
      const outcome = async (body: string): Promise<string> => (await post(body, signed(REGION)))[1];
      expect(await outcome("Action=DescribeInstances&Version=2014-01-01")).to.equal("NoSuchVersion");
      expect(await outcome("Action=toString&Version=2016-11-15")).to.equal("InvalidAction");
      expect(await outcome("Action=DescribeInstances&Version=2016-11-15&Colour=red")).to.equal(
        "UnknownParameter",
      );
      expect(await outcome("Action=DescribeInstances&Action=RunInstances")).to.equal(
        "InvalidParameterCombination",
      );
      expect(await outcome("Version=2016-11-15")).to.equal("MissingParameter");
      expect(await refused(new DescribeVpcsCommand({}))).to.include({ name: "InvalidAction" });
    });

    it("to listen where somebody else does, saying what to do", async () => {
      const port = Number(new URL(http.url).port);
      const error = await listenOnLoopback(http.endpoint.handle, { port, logger: silentLogger }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).to.include({ code: "PortInUse" });
      expect(String(error)).to.include(`127.0.0.1:${port}`).and.include("choose another port");
    });
  });

  it("limits requests as EC2 documents it, when told to", async () => {
    await http.close();
    const clock = new VirtualClock();
    http = await startEndpoint({ model: { clock }, endpoint: { clock, limits: DOCUMENTED_LIMITS } });
    const start = async (): Promise<string> =>
      (await refused(new StartInstancesCommand({ InstanceIds: ["i-00000000"] }))).name;
    const names: string[] = [];
    for (let index = 0; index < 6; index++) {
      names.push(await start());
    }
    const [admitted, limited] = ["InvalidInstanceID.NotFound", "RequestLimitExceeded"];
    expect(names).to.deep.equal([admitted, admitted, admitted, admitted, admitted, limited]);
    await clock.advance(500);
    const wrong = new StartInstancesCommand({ InstanceIds: [] });
    expect([(await refused(wrong)).name, await start()], "nonsense counts, too").to.deep.equal([
      "MissingParameter",
      limited,
    ]);
    await clock.advance(500);
    expect([await start(), await start()]).to.deep.equal([admitted, limited]);
  });

  describe("control API and request log", () => {
    const control = async (method: string, path: string, body?: unknown): Promise<[number, unknown]> => {
      const response = await fetch(`${http.url}/_control/${path}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return [response.status, await response.json()];
    };

    it("announces events for instances, and refuses what is none", async () => {
      const id = await launch();
      const event = { id, code: "instance-retirement", notBefore: "2096-06-01T00:00:00Z" };
      expect(await control("POST", "events", event)).to.deep.equal([200, {}]);
      expect(http.model.instances.truth(id).events[0]).to.include({ code: "instance-retirement" });
      const [status, why] = await control("POST", "events", { ...event, code: "earthquake" });
      expect(status).to.equal(400);
      expect(why).to.include({ code: "InvalidEvent" });
    });

    it("lists calls, by action and instance, and instances", async () => {
      const id = await launch();
      await refused(new StartInstancesCommand({ InstanceIds: ["i-00000000"] }));
      const [, calls] = await control("GET", "calls");
      expect(
        (calls as { action: string; outcome: string }[]).map((call) => `${call.action} ${call.outcome}`),
      ).to.deep.equal(["RunInstances ok", "StartInstances InvalidInstanceID.NotFound"]);
      const [, ofInstance] = await control("GET", `calls?action=RunInstances&id=${id}`);
      expect(ofInstance).to.have.length(1);
      const [, instances] = await control("GET", "instances");
      expect(instances).to.have.length(1);
    });

    it("lets requests fail, be forgotten, dropped and delayed", async () => {
      const id = await launch();
      await control("POST", "faults", {
        action: "StopInstances",
        kind: "refuse",
        code: "Unavailable",
        status: 503,
      });
      const stop = new StopInstancesCommand({ InstanceIds: [id] });
      expect(await refused(stop)).to.include({ name: "Unavailable", status: 503 });
      await control("POST", "faults", { action: "*", containing: id, kind: "drop" });
      expect((await refused(stop)).status).to.equal(undefined);
      expect(http.model.instances.truth(id).state).to.equal("running");
      await control("POST", "faults", { action: "StopInstances", kind: "forget" });
      expect((await refused(stop)).status).to.equal(undefined);
      await http.model.settled();
      expect(http.model.instances.truth(id).state).to.equal("stopped");
      await control("POST", "faults", { action: "StartInstances", kind: "delay", delayMs: 1 });
      await http.client.send(new StartInstancesCommand({ InstanceIds: [id] }));
      expect(http.endpoint.log.calls("StopInstances").map(({ outcome }) => outcome)).to.deep.equal([
        "Unavailable",
        "Dropped",
        "Dropped",
      ]);
    });

    it("sets capacity, and refuses what it does not understand", async () => {
      await control("POST", "capacity", { zone: "eu-west-1a", type: "m7i.large", instances: 0 });
      expect(await refused(new RunInstancesCommand(LAUNCH))).to.include({
        name: "InsufficientInstanceCapacity",
      });
      await control("POST", "capacity", { zone: "eu-west-1a", type: "m7i.large", instances: null });
      await launch();
      expect((await control("POST", "capacity", { zone: "eu-west-1a" }))[0]).to.equal(400);
      expect((await control("POST", "faults", { action: "x", kind: "explode" }))[0]).to.equal(400);
      expect((await control("POST", "faults", { kind: "drop" }))[0]).to.equal(400);
      const later = { kind: "fail-later", code: "Server.InternalError" };
      expect((await control("POST", "faults", { ...later, action: "StopInstances" }))[0]).to.equal(400);
      expect((await control("POST", "faults", { action: "RunInstances", kind: "fail-later" }))[0]).to.equal(
        400,
      );
      expect((await control("POST", "faults", { ...later, action: "RunInstances" }))[0]).to.equal(200);
      expect((await control("GET", "nothing"))[0]).to.equal(404);
    });

    it("sets the account's quota", async () => {
      await control("POST", "quota", { vcpus: 1 });
      expect(await refused(new RunInstancesCommand(LAUNCH))).to.include({ name: "VcpuLimitExceeded" });
      await control("POST", "quota", { vcpus: null });
      await launch();
      expect((await control("POST", "quota", { vcpus: "many" }))[0]).to.equal(400);
    });

    it("lets readers see late, and guests be too young to hibernate", async () => {
      await control("POST", "behaviour", { hibernationReadyAfterMs: 3_600_000 });
      const id = await launch({
        HibernationOptions: { Configured: true },
        BlockDeviceMappings: [{ DeviceName: "/dev/xvda", Ebs: { VolumeSize: 99, Encrypted: true } }],
      });
      await http.model.settled();
      expect((await refused(new StopInstancesCommand({ InstanceIds: [id], Hibernate: true }))).name).to.equal(
        "UnsupportedOperation",
      );
      await control("POST", "behaviour", { visibilityDelayMs: 3_600_000 });
      await http.client.send(new StopInstancesCommand({ InstanceIds: [id] }));
      await http.model.settled();
      expect(http.model.instances.visible().map(({ state }) => state)).to.deep.equal(["running"]);
      expect((await control("POST", "behaviour", { visibilityDelayMs: -1 }))[0]).to.equal(400);
      expect((await control("POST", "behaviour", { mood: "bad" }))[0]).to.equal(400);
    });

    it("lets an instance be missing from lists, from descriptions or from both, and shows it again", async () => {
      const id = await launch();
      const list = async (): Promise<number> =>
        (await http.client.send(new DescribeInstancesCommand({}))).Reservations?.length ?? 0;
      const isNamed = new DescribeInstancesCommand({ InstanceIds: [id] });
      const gone = { name: "InvalidInstanceID.NotFound" };
      await control("POST", "absence", { id, from: "lists", forMs: 60_000 });
      expect(await list()).to.equal(0);
      expect((await http.client.send(isNamed)).Reservations).to.have.length(1);
      await control("POST", "absence", { id, from: "descriptions", forMs: 60_000 });
      expect(await list()).to.equal(1);
      expect(await refused(isNamed)).to.include(gone);
      await control("POST", "absence", { id, from: "both", forMs: 60_000 });
      expect(await list()).to.equal(0);
      expect(await refused(isNamed)).to.include(gone);
      expect(await refused(new StopInstancesCommand({ InstanceIds: [id] }))).to.include(gone);
      await control("POST", "absence", { id, from: "both", forMs: 0 });
      expect(await list()).to.equal(1);
      expect((await control("POST", "absence", { id, from: "nowhere", forMs: 1 }))[0]).to.equal(400);
    });

    it("writes each request to the log file at once", async () => {
      const directory = mkdtempSync(join(tmpdir(), "ec2-log-"));
      await http.close();
      http = await startEndpoint({ endpoint: { logFile: join(directory, "calls.jsonl") } });
      const id = await launch();
      const lines = readFileSync(join(directory, "calls.jsonl"), "utf8").trimEnd().split("\n");
      expect(lines.map((line) => JSON.parse(line) as unknown)).to.have.nested.property("[0].ids[0]", id);
      rmSync(directory, { recursive: true });
    });
  });
});
