import { expect } from "chai";

import { parseLdd } from "../../../src/local/qemu/guest-root.ts";
import { imageKey } from "../../../src/local/qemu/image.ts";
import { moduleDependencies } from "../../../src/local/qemu/kernel-modules.ts";

describe("the guest image's parts", () => {
  it("takes libraries and the loader from ldd, and not what the kernel provides", () => {
    const output =
      "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n" +
      "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
    expect(parseLdd(output)).to.deep.equal([
      "/lib/x86_64-linux-gnu/libm.so.6",
      "/lib64/ld-linux-x86-64.so.2",
    ]);
  });

  it("reads a module's dependencies from its own information", () => {
    const module = (depends: string): Buffer => Buffer.from(`\0license=GPL\0depends=${depends}\0intree=Y\0`);
    expect(moduleDependencies(module("virtio_ring,net-failover"))).to.deep.equal([
      "virtio_ring",
      "net_failover",
    ]);
    expect(moduleDependencies(module(""))).to.deep.equal([]);
    expect(moduleDependencies(Buffer.from("no information"))).to.deep.equal([]);
  });

  it("changes the key with any input, and does not mistake one split of the bytes for another", () => {
    expect(imageKey(["ab", "c"])).to.equal(imageKey([Buffer.from("ab"), "c"]));
    expect(imageKey(["ab", "c"])).not.to.equal(imageKey(["a", "bc"]));
    expect(imageKey(["ab", "c"])).not.to.equal(imageKey(["ab", "d"]));
  });
});
