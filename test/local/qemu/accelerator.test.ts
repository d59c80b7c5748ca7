import { expect } from "chai";

import { chooseAccelerator } from "../../../src/local/qemu/accelerator.ts";

describe("the choice of the accelerator", () => {
  const able = {
    cpuInfo: "processor : 0\nflags\t\t: fpu svm sse\n",
    kvmAccessible: true,
    tryKvm: async () => true,
  };

  it("is KVM when the CPU has it, the device opens and a guest really runs", async () => {
    expect(await chooseAccelerator(able)).to.equal("kvm");
    expect(await chooseAccelerator({ ...able, cpuInfo: "flags : vmx" })).to.equal("kvm");
  });

  it("is TCG when the device is there but the CPU lends nothing, and no trial is made", async () => {
    const tryKvm = (): never => {
      throw new Error("tried");
    };
    expect(await chooseAccelerator({ ...able, cpuInfo: "flags : fpu svmx", tryKvm })).to.equal("tcg");
  });

  it("is TCG when the device can't be opened or the trial hangs", async () => {
    expect(await chooseAccelerator({ ...able, kvmAccessible: false })).to.equal("tcg");
    expect(await chooseAccelerator({ ...able, tryKvm: async () => false })).to.equal("tcg");
  });
});
