import { expect } from "chai";
import { CLASS, createAccount, launchRequest } from "./ec2-account.ts";

describe("what EC2 says of a class and its machines without being asked", () => {
  const account = createAccount();
  const { cloud } = account;

  it("is what may be a machine's ID", () => {
    for (const id of ["i-01234567", "i-0123456789abcdef0"]) {
      expect(cloud.isMachineID(id), id).to.equal(true);
    }
    for (const id of [
      "i-0123",
      "vol-0123456789abcdef0",
      "i-0123456789abcdeg0",
      "i-0000000000000000A",
      " i-01234567",
    ]) {
      expect(cloud.isMachineID(id), id).to.equal(false);
    }
  });

  it("is whether its machines have a data volume", () => {
    expect(cloud.hasDataVolume({ ec2: CLASS })).to.equal(false);
    expect(cloud.hasDataVolume({ ec2: { ...CLASS, dataVolume: { sizeGiB: 20 } } })).to.equal(true);
  });

  it("is the size of the root volume: as the machine was launched with, which may hibernate, else as the class has it", async () => {
    const { plan } = await account.run(cloud.resolve(launchRequest({ types: ["m7i.2xlarge"] })));
    expect(cloud.diskGiB({ ec2: CLASS }, plan.details)).to.equal(4 + 32);
    expect(cloud.diskGiB({ ec2: CLASS }, undefined)).to.equal(10);
    expect(cloud.diskGiB({ ec2: { ...CLASS, rootVolume: undefined } }, undefined)).to.equal(40);
  });
});
