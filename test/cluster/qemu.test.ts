import { expect } from "chai";
import { globSync, readdirSync, readFileSync } from "node:fs";
import { runInPod } from "./client-pod.ts";
import { Cluster, SYSTEM } from "./cluster.ts";
import { getNodeEnvironment } from "./node/environment.ts";
import { type QemuAccount, startQemuAccount } from "./qemu-account.ts";

const RELEASE = "sat";
const ROUTER = `sat-satellites-router.${SYSTEM}.svc:8372`;
/** A new one with each boot of a kernel (random(4)). */
const BOOT_ID = "/proc/sys/kernel/random/boot_id";

/** A machine of its own kernel and memory behind a satellite: what virtual VMs only play. */
describe("a satellite whose VM runs under QEMU", function () {
  this.timeout(300_000);
  this.bail(true);
  let cluster: Cluster;
  let account: QemuAccount;
  let bootID: unknown;

  before(async () => {
    const { hypervisor } = getNodeEnvironment(process.env);
    cluster = await Cluster.start(async (place) => {
      account = await startQemuAccount(place, hypervisor);
      return account;
    });
    await cluster.apply(RELEASE, { router: { access: { mode: "insecureAnonymous" } } });
    await cluster.untilReady("operator", 2);
    await cluster.createClass();
  });
  after(() => cluster?.stop());

  /** What a client in a pod is told by a command in the VM. */
  async function ask(...command: string[]): Promise<unknown> {
    const { phase, output } = await runInPod(cluster, [`--router=${ROUTER}`, "ada", "--", ...command]);
    expect(phase, String(output)).to.equal("Succeeded");
    return output;
  }

  /** Process IDs of the account's VMs. */
  const qemus = (): string[] =>
    readdirSync("/proc").filter((name) => {
      try {
        const line = /^\d+$/.test(name) ? readFileSync(`/proc/${name}/cmdline`, "utf8") : "";
        return line.includes("qemu-system") && line.includes(account.vms);
      } catch {
        return false; // It has ended meanwhile.
      }
    });

  it("is launched for a client in a pod, whose command runs on another kernel than the node's", async () => {
    await cluster.createSatellite("ada");
    bootID = await ask("cat", BOOT_ID);
    expect(bootID).to.match(/^[0-9a-f-]{36}\n$/);
    expect(bootID).to.not.equal(readFileSync(BOOT_ID, "utf8"));
    await cluster.untilPhase("ada", "Running");
    expect(qemus()).to.have.length(1);
  });

  it("hibernates: its memory is in a file, and no process of it is left", async () => {
    await cluster.sleep("ada");
    const { status } = await cluster.satellite("ada");
    expect(status.sleep?.kind).to.equal("Hibernated");
    expect(globSync("i-*/memory.img", { cwd: account.vms })).to.have.length(1);
    expect(qemus()).to.deep.equal([]);
  });

  it("wakes for the next call from a pod, and goes on with the memory that it had", async () => {
    expect(await ask("cat", BOOT_ID)).to.equal(bootID);
    await cluster.untilPhase("ada", "Running");
    expect(globSync("i-*/memory.img", { cwd: account.vms })).to.deep.equal([]);
    expect(qemus()).to.have.length(1);
  });

  it("leaves nothing when it is deleted: no machine, no process, no file", async () => {
    await cluster.deleteSatellites("ada");
    expect(await cluster.machines()).to.deep.equal([]);
    expect(qemus()).to.deep.equal([]);
    expect(globSync("i-*", { cwd: account.vms })).to.deep.equal([]);
    await cluster.deleteClasses();
    const { code, stderr } = await cluster.helm(["uninstall", RELEASE, "--wait"]);
    expect(code, stderr).to.equal(0);
  });
});
