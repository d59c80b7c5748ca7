import { execFileSync } from "node:child_process";

import { expect } from "chai";

import { qemuArguments, shellQuote, type VmSpec } from "../../../src/local/qemu/command-line.ts";
import { InstanceStore } from "../../../src/local/qemu/instance-store.ts";

describe("QEMU's command line", () => {
  const spec = (changes: Partial<VmSpec> = {}): VmSpec => ({
    id: "i-0abc",
    shape: {
      machine: "pc-q35-7.2",
      accelerator: "tcg",
      qemuVersion: "7.2",
      vcpus: 2,
      memoryMiB: 1024,
      dataVolume: "none",
    },
    address: "127.77.0.5",
    ports: [8372, 22],
    files: new InstanceStore("/state, with comma", "mkfs.ext4").files("i-0abc"),
    rootVolume: "empty",
    metadataCommand: ["/usr/bin/node", "/a b/metadata.cjs", "it's, here"],
    incoming: false,
    ...changes,
  });
  const valueOf = (args: readonly string[], option: string): string => args[args.indexOf(option) + 1] ?? "";

  it("forwards the ports from the instance's own address and shuts everything else off", () => {
    const network = valueOf(qemuArguments(spec()), "-netdev");
    expect(network).to.contain("restrict=on");
    expect(network).to.contain("hostfwd=tcp:127.77.0.5:8372-:8372,hostfwd=tcp:127.77.0.5:22-:22");
    expect(network).to.contain("guestfwd=tcp:169.254.169.254:80-cmd:");
  });

  it("serves a file beside the metadata, to guests whose image comes with one", () => {
    const fileCommand = ["/usr/bin/node", "/file.cjs", "/archive.tar.gz"];
    const network = valueOf(qemuArguments(spec({ fileCommand })), "-netdev");
    expect(network).to.contain("guestfwd=tcp:169.254.169.200:80-cmd:'/usr/bin/node' '/file.cjs'");
    expect(valueOf(qemuArguments(spec()), "-netdev")).not.to.contain("169.254.169.200");
  });

  it("gives a guest whose volume is a copy of the image no other disk", () => {
    const drives = qemuArguments(spec({ rootVolume: "copy" })).filter((arg) => arg.startsWith("if=none"));
    expect(drives).to.have.length(1);
    expect(drives[0]).to.contain("id=volume");
  });

  it("looks like EC2 to cloud-init: UUID and serial number are equal and begin with ec2", () => {
    const sign = valueOf(qemuArguments(spec()), "-smbios");
    const [, uuid = "", serial = ""] = /uuid=([^,]+),serial=(.+)$/.exec(sign) ?? [];
    expect(uuid)
      .to.match(/^ec2[0-9a-f]{5}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      .and.equal(serial);
    expect(valueOf(qemuArguments(spec({ id: "i-0abd" })), "-smbios")).not.to.equal(sign);
  });

  it("has a place for a data volume, filled where there is one, and moves no other device for it", () => {
    const without = qemuArguments(spec());
    const filled = qemuArguments(spec({ dataVolume: "/volumes, too/vol-1.img" }));
    expect(without.filter((arg) => arg.startsWith("pcie-root-port,id=data-port,"))).to.have.length(1);
    const added = filled.filter((arg) => !without.includes(arg) && arg !== "-blockdev");
    expect(added).to.have.length(2);
    const [node, device] = added.map((arg) => JSON.parse(arg) as Record<string, unknown>);
    expect(node).to.deep.include({ "node-name": "data-volume", driver: "raw" });
    expect(node?.["file"]).to.deep.include({ driver: "file", filename: "/volumes, too/vol-1.img" });
    expect(device).to.include({ bus: "data-port", drive: "data-volume", serial: "sdf" });
  });

  it("doubles commas in paths, which QEMU would take for the next option", () => {
    const drives = qemuArguments(spec()).filter((arg) => arg.startsWith("if=none"));
    expect(drives).to.have.length(2);
    expect(drives[0]).to.contain("file=/state,, with comma/i-0abc/root.ext4,format=raw,readonly=on");
    expect(valueOf(qemuArguments(spec()), "-netdev")).to.contain("'it'\\''s,, here'");
  });

  it("waits for a memory image only when told to", () => {
    expect(qemuArguments(spec())).not.to.include("-incoming");
    expect(qemuArguments(spec({ incoming: true }))).to.include.members(["-S", "-incoming", "defer"]);
    expect(
      qemuArguments(spec({ incoming: true })).join(" "),
      "ports come when the memory is loaded",
    ).not.to.include("hostfwd");
  });

  it("uses the host's CPU under KVM alone", () => {
    const kvm = { ...spec().shape, accelerator: "kvm" as const };
    expect(valueOf(qemuArguments(spec({ shape: kvm })), "-cpu")).to.equal("host");
    expect(valueOf(qemuArguments(spec()), "-cpu")).to.equal("max");
  });

  it("quotes words so that a shell gives them back", () => {
    const word = `it's "a" $HOME \\ word`;
    expect(execFileSync("sh", ["-c", `printf %s ${shellQuote(word)}`], { encoding: "utf8" })).to.equal(word);
  });
});
