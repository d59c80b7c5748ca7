import { readFileSync } from "node:fs";

import { expect } from "chai";

import { startTestGuest, type TestGuest } from "./support.ts";

describe("the guest's description", () => {
  let guest: TestGuest;

  beforeEach(async () => {
    guest = await startTestGuest();
  });

  afterEach(() => guest.close());

  it("counts the calls since the process started", async () => {
    expect((await guest.client.describe()).calls).to.equal(1);
    await guest.client.run("true");
    expect((await guest.client.describe()).calls).to.equal(3);
  });

  it("tells the kernel's boot ID and when the process started", async () => {
    const before = Date.now();
    const description = await guest.client.describe();
    expect(description.bootId).to.equal(readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
    expect(description.processStartTimeMs).to.be.at.most(before);
    expect(description.wallClockMs).to.be.within(before, Date.now());
    expect(description.runtimeVersion).to.equal(process.version);
  });

  it("tells how many commands run", async () => {
    const abort = new AbortController();
    const started = Promise.withResolvers<void>();
    const running = guest.client
      .run("sh", { args: ["-c", "echo; sleep 600"], signal: abort.signal, onStdout: () => started.resolve() })
      .catch(() => "cancelled");
    await started.promise;
    expect((await guest.client.describe()).runningCommands).to.equal(1);
    abort.abort();
    expect(await running).to.equal("cancelled");
  });
});
