import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "chai";

import { connectGuest, type GuestClient } from "../../src/guest/client.ts";
import type { GuestDescription } from "../../src/guest/schema.ts";
import { GUEST_PORT } from "../../src/local/qemu/guest-files.ts";
import type { QemuHypervisor } from "../../src/local/qemu/hypervisor.ts";
import { instanceSpec, openHypervisor } from "./qemu-setup.ts";

const BOOT_DEADLINE_MS = 90_000;
/** The guest's clock is set to a whole second. */
const CLOCK_TOLERANCE_MS = 1500;

describe("QEMU hypervisor", function () {
  this.timeout(300_000);

  let stateDirectory: string;
  let hypervisor: QemuHypervisor;
  let client: GuestClient | undefined;

  beforeEach(async () => {
    stateDirectory = mkdtempSync(join(tmpdir(), "vms-"));
    hypervisor = await openHypervisor(stateDirectory);
  });

  afterEach(async () => {
    client?.close();
    for (const id of readdirSync(stateDirectory)) {
      await hypervisor.terminate(id);
    }
    hypervisor.close();
    rmSync(stateDirectory, { recursive: true });
  });

  /** Dials anew until the guest answers: QEMU accepts connections long before the guest can. */
  async function connect(address: string): Promise<GuestDescription> {
    client?.close();
    const deadline = performance.now() + BOOT_DEADLINE_MS;
    for (;;) {
      client = connectGuest(`${address}:${GUEST_PORT}`);
      try {
        return await client.describe(1000);
      } catch (thrown) {
        client.close();
        if (performance.now() > deadline) {
          throw thrown;
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  const shell = async (script: string): Promise<string> => {
    const result = await client!.run("sh", { args: ["-c", script] });
    expect(result.code, result.stderr.toString()).to.equal(0);
    return result.stdout.toString().trim();
  };

  const clockError = async (): Promise<number> =>
    Math.abs((await client!.describe()).wallClockMs - Date.now());

  const processesOf = (id: string): string[] =>
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => {
        try {
          return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(join(stateDirectory, id));
        } catch {
          return false;
        }
      });

  it("keeps memory over hibernation and files over a stop", async () => {
    const spec = instanceSpec("i-life", "127.77.201.1");
    await hypervisor.launch(spec);
    const booted = await connect(spec.privateAddress);
    expect(await shell("id -u; echo kept > file; cat /proc/self/oom_score_adj")).to.equal("1000\n500");
    const before = await client!.describe();

    expect(await hypervisor.hibernate(spec.id)).to.deep.equal({ hibernated: true });
    expect(await hypervisor.state(spec.id)).to.equal("hibernated");
    expect(processesOf(spec.id)).to.deep.equal([]);
    expect(await hypervisor.hibernate(spec.id)).to.deep.equal({ hibernated: true });

    // Long enough that a clock that merely went on would be found out.
    await new Promise((resolve) => setTimeout(resolve, 2 * CLOCK_TOLERANCE_MS));
    expect(await hypervisor.start(spec)).to.deep.equal({ resumed: true });
    const resumed = await connect(spec.privateAddress);
    expect(resumed.bootId).to.equal(booted.bootId);
    expect(resumed.processStartTimeMs).to.equal(booted.processStartTimeMs);
    expect(resumed.calls).to.be.greaterThan(before.calls);
    const deadline = performance.now() + 20_000;
    while ((await clockError()) > CLOCK_TOLERANCE_MS && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(await clockError()).to.be.at.most(CLOCK_TOLERANCE_MS);
    expect(existsSync(join(stateDirectory, spec.id, "memory.img"))).to.equal(false);

    await hypervisor.stop(spec.id, { force: false });
    expect(await hypervisor.state(spec.id)).to.equal("stopped");
    expect(await hypervisor.start(spec)).to.deep.equal({ resumed: false });
    const restarted = await connect(spec.privateAddress);
    expect(restarted.bootId).not.to.equal(booted.bootId);
    expect(await shell("cat file")).to.equal("kept");

    await hypervisor.terminate(spec.id);
    expect(await hypervisor.state(spec.id)).to.equal("missing");
    expect(processesOf(spec.id)).to.deep.equal([]);
    expect(readdirSync(stateDirectory)).to.deep.equal([]);
  });

  it("gives the guest its metadata and nothing else of the host or the network", async () => {
    const spec = instanceSpec("i-meta", "127.77.201.2");
    await hypervisor.launch(spec);
    await connect(spec.privateAddress);
    const token =
      "printf 'PUT /latest/api/token HTTP/1.1\\r\\nHost: m\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 60\\r\\n" +
      "Connection: close\\r\\n\\r\\n' | nc 169.254.169.254 80 | tail -n 1";
    const get = (path: string): Promise<string> =>
      shell(
        `wget -q -O - --header "X-aws-ec2-metadata-token: $(${token})" http://169.254.169.254/latest/${path} | cat`,
      );
    expect(await get("meta-data/instance-id")).to.equal(spec.id);
    expect(await get("user-data")).to.equal("#cloud-config");
    expect(await shell("nc -w 2 169.254.2.2 22 < /dev/null || echo refused")).to.equal("refused");
    expect(await shell("nc -w 2 169.254.169.254 22 < /dev/null || echo refused")).to.equal("refused");
  });

  /** Does `task` in a process of its own and kills that with SIGKILL once `reached` holds. */
  async function killDuring(
    task: string,
    id: string,
    address: string,
    reached: () => boolean,
  ): Promise<void> {
    hypervisor.close();
    const script = join(import.meta.dirname, "qemu-holder.ts");
    const holder = spawn(process.execPath, [script, stateDirectory, id, address, task], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const progress = { done: false };
    holder.stdout.once("data", () => (progress.done = true));
    while (!reached() && !progress.done && holder.exitCode === null) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    holder.kill("SIGKILL");
    await once(holder, "close");
    expect(holder.exitCode, "the holder failed").to.equal(null);
    hypervisor = await openHypervisor(stateDirectory);
  }

  it("finds its VMs again after kill -9, also in the midst of hibernation and resume", async () => {
    const spec = instanceSpec("i-found", "127.77.201.3");
    const has = (name: string): boolean => existsSync(join(stateDirectory, spec.id, name));
    await killDuring("launch", spec.id, spec.privateAddress, () => false);
    expect(await hypervisor.state(spec.id)).to.equal("running");
    const booted = await connect(spec.privateAddress);

    await killDuring("hibernate", spec.id, spec.privateAddress, () => has("memory.partial"));
    // Cut off before the image was whole, so the VM went on.
    expect(await hypervisor.state(spec.id)).to.equal("running");
    expect(has("memory.partial")).to.equal(false);
    expect((await connect(spec.privateAddress)).bootId).to.equal(booted.bootId);

    await killDuring("hibernate", spec.id, spec.privateAddress, () => has("memory.img"));
    expect(await hypervisor.state(spec.id)).to.equal("hibernated");
    expect(processesOf(spec.id)).to.deep.equal([]);

    await killDuring("start", spec.id, spec.privateAddress, () => processesOf(spec.id).length > 0);
    // Killed before the image was used up: it is still there, and the VM that was loading it is gone.
    if ((await hypervisor.state(spec.id)) === "hibernated") {
      expect(processesOf(spec.id)).to.deep.equal([]);
      expect(await hypervisor.start(spec)).to.deep.equal({ resumed: true });
    }
    expect(has("memory.img")).to.equal(false);
    expect((await connect(spec.privateAddress)).bootId).to.equal(booted.bootId);

    await hypervisor.hibernate(spec.id);
    await killDuring("start", spec.id, spec.privateAddress, () => !has("memory.img"));
    expect(await hypervisor.state(spec.id)).to.equal("running");
    expect((await connect(spec.privateAddress)).bootId).to.equal(booted.bootId);
  });

  it("boots when the memory image does not load, and never resumes it later", async () => {
    const spec = instanceSpec("i-void", "127.77.201.4");
    await hypervisor.launch(spec);
    const booted = await connect(spec.privateAddress);
    await hypervisor.hibernate(spec.id);
    writeFileSync(join(stateDirectory, spec.id, "memory.img"), "not a memory image");
    expect(await hypervisor.start(spec)).to.deep.equal({ resumed: false });
    expect((await connect(spec.privateAddress)).bootId).not.to.equal(booted.bootId);
    expect(existsSync(join(stateDirectory, spec.id, "memory.img"))).to.equal(false);
  });

  it("tells when a VM ends by itself, and stops one at once by force", async () => {
    const spec = instanceSpec("i-exit", "127.77.201.5");
    const exited = new Promise<string>((resolve) => hypervisor.onExit(resolve));
    await hypervisor.launch(spec);
    process.kill(Number(readFileSync(join(stateDirectory, spec.id, "qemu.pid"), "utf8")), "SIGKILL");
    expect(await exited).to.equal(spec.id);
    expect(await hypervisor.state(spec.id)).to.equal("stopped");
    await hypervisor.start(spec);
    await hypervisor.stop(spec.id, { force: true });
    expect(await hypervisor.state(spec.id)).to.equal("stopped");
    expect(processesOf(spec.id)).to.deep.equal([]);
  });

  it("says which port is in use, and boots once it is free", async () => {
    const spec = instanceSpec("i-port", "127.77.201.6");
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(GUEST_PORT, spec.privateAddress, resolve));
    const failure = await hypervisor.launch(spec).catch((error: unknown) => error);
    expect(failure).to.include({ code: "PortInUse" });
    expect(String(failure)).to.contain(`${GUEST_PORT} at ${spec.privateAddress}`);
    await new Promise((resolve) => squatter.close(resolve));
    await hypervisor.launch(spec);
    expect(await hypervisor.state(spec.id)).to.equal("running");
  });
});
