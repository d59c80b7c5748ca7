import { expect } from "chai";
import { BUILDKIT_SATELLITE } from "../../src/commands/buildkit-class.ts";
import type { Condition } from "../../src/satellite/resource.ts";
import type { Satellite } from "../../src/satellite/types.ts";
import { Builder } from "./builder.ts";

const WRONG = "0".repeat(64);

const ready = ({ status }: Satellite): Condition | undefined =>
  status.conditions?.find(({ type }) => type === "Ready");

describe("an archive with another checksum than the class names", function () {
  this.timeout(1_800_000);
  let builder: Builder;

  before(async () => {
    builder = await Builder.start((line) => console.log(`    ${line}`));
  });
  after(() => builder?.close());

  it("is refused in the VM, said in the satellite's condition, and used once the checksum is right", async () => {
    await builder.patchClass({ guest: { archive: { sha256: { amd64: WRONG } } } });
    await builder.create({ idleTimeout: "0s" });
    const failed = await builder.until(
      "the condition quotes the guest",
      (satellite) => ready(satellite)?.reason === "GuestFailed",
    );
    const message = ready(failed)?.message ?? "";
    console.log(`      Ready: ${message}`);
    const [, right = ""] = /has the SHA-256 ([0-9a-f]{64}) instead of 0{64}/.exec(message) ?? [];
    expect(right, message).to.have.length(64);
    const shell = builder.shell();
    expect(await shell.run("ls /usr/local/bin")).to.equal("");
    await shell.run(`sed -i s/${WRONG}/${right}/ /etc/buildkit/archive.json`);
    const mended = await builder.until("it runs", ({ status }) => status.power.state === "Running");
    expect(ready(mended)).to.include({ status: "True" });
    expect(mended.status.machine?.buildkit?.version, BUILDKIT_SATELLITE).to.be.a("string");
  });
});
