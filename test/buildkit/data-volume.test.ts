import { EC2Client, TerminateInstancesCommand } from "@aws-sdk/client-ec2";
import { expect } from "chai";
import { BUILDKIT_SATELLITE } from "../../src/commands/buildkit-class.ts";
import { Builder } from "./builder.ts";

const SIZE_GIB = 3;

describe("the cache on a data volume", function () {
  this.timeout(1_800_000);
  let builder: Builder;
  let context: string;

  before(async () => {
    builder = await Builder.start((line) => console.log(`    ${line}`));
    context = builder.shop.context("context", ["RUN echo built >/result"]);
    await builder.patchClass({ ec2: { dataVolume: { sizeGiB: SIZE_GIB } } });
    await builder.create({ idleTimeout: "0s" });
  });
  after(() => builder?.close());

  async function build(name: string): Promise<{ readonly isCached: boolean }> {
    const { code, output } = await builder.build(context, builder.shop.path(name)).ended;
    expect(code, output).to.equal(0);
    return { isCached: /^#\d+ CACHED$/m.test(output) };
  }

  /** Which volume and machine it has, what is mounted as the cache, and how large that is. */
  async function look(): Promise<{ volume: string; machine: string; mounted: string; boot: string }> {
    const { status } = builder.system.find(BUILDKIT_SATELLITE) ?? expect.fail("there is no satellite");
    const shell = builder.shell();
    return {
      volume: status.volume?.id ?? "",
      machine: status.machine?.id ?? "",
      mounted: await shell.run("df --output=source,size --block-size=1G /var/lib/buildkit | tail -n 1"),
      boot: await shell.run("cat /proc/sys/kernel/random/boot_id"),
    };
  }

  it("is a disk of its own, there before BuildKit serves", async () => {
    expect((await build("cold")).isCached).to.equal(false);
    const { volume, mounted } = await look();
    console.log(`      ${volume}: ${mounted}`);
    expect(volume).to.match(/^vol-/);
    expect(mounted).to.match(new RegExp(`^/dev/vdb +${SIZE_GIB}$`));
  });

  it("is there when the machine resumes from hibernation", async () => {
    const before = await look();
    await builder.patch({ idleTimeout: "5s", sleepMode: "Hibernate" });
    await builder.asleep("Hibernated");
    await builder.patch({ idleTimeout: "0s" });
    expect((await build("resumed")).isCached).to.equal(true);
    expect(await look()).to.deep.equal(before);
  });

  it("survives its machine", async () => {
    const before = await look();
    const client = new EC2Client({
      region: "local-1",
      endpoint: builder.system.system.ec2Url,
      credentials: { accessKeyId: "somebody", secretAccessKey: "else" },
    });
    await client.send(new TerminateInstancesCommand({ InstanceIds: [before.machine] }));
    client.destroy();
    await builder.until(
      "another machine runs",
      ({ status }) => status.machine?.id !== before.machine && status.power.state === "Running",
    );
    expect((await build("replaced")).isCached).to.equal(true);
    const after = await look();
    console.log(`      ${before.machine} is gone; ${after.volume} is on ${after.machine}`);
    expect(after.machine).not.to.equal(before.machine);
    expect(after).to.include({ volume: before.volume, mounted: before.mounted });
  });
});
