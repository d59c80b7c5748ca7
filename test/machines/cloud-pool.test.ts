import { expect } from "chai";
import type { ConnectionOptions } from "../../src/machines/cloud-provider.ts";
import { CloudPool } from "../../src/machines/cloud-pool.ts";
import { CloudError } from "../../src/machines/errors.ts";
import { ec2Provider } from "../../src/machines/ec2/provider.ts";
import { MEMORY_BLOCK } from "../operator/fixtures.ts";
import { MemoryCloud, memoryProvider } from "../operator/memory-cloud.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { CLASS } from "./ec2/ec2-account.ts";
import { Registry } from "@prometheus-io/client";
import { noProxy } from "../../src/base/proxy.ts";
import { silentLogger } from "../../src/telemetry/logger.ts";

const OPTIONS: ConnectionOptions = {
  cluster: "cluster-a",
  clock: new VirtualClock(),
  random: () => 0.5,
  logger: silentLogger,
  registry: new Registry(),
  proxyFor: noProxy,
  changeBudgetMs: () => Infinity,
};

describe("the connections to clouds", () => {
  const memory = new MemoryCloud(new VirtualClock());
  const pool = new CloudPool([ec2Provider("http://ec2.example"), memoryProvider(memory)], OPTIONS);

  it("are chosen by the block that a class has", () => {
    expect(pool.of({ [MEMORY_BLOCK]: {}, sizes: {} })).to.equal(memory);
    expect(pool.of({ ec2: CLASS, sizes: {} }).words.name).to.equal("EC2");
  });

  it("are shared by the classes of one region and role, and by no others", () => {
    const cloud = pool.of({ ec2: CLASS });
    expect(pool.of({ ec2: { ...CLASS, image: { id: "ami-1" } } })).to.equal(cloud);
    expect(pool.of({ ec2: { ...CLASS, region: "us-east-1" } })).not.to.equal(cloud);
    expect(pool.of({ ec2: { ...CLASS, roleARN: "arn:aws:iam::000000000077:role/a" } })).not.to.equal(cloud);
  });

  it("are none for a class that names no cloud, which is told what it may name", () => {
    expect(() => pool.of({ sizes: {} }))
      .to.throw(CloudError, "spec.ec2, spec.memory")
      .that.includes({ class: "parameter", reason: "InvalidClass" });
  });
});
