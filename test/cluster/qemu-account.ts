import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HypervisorSetup, LocalEc2Setup } from "../../src/commands/local-ec2.ts";
import { endAllVms } from "../../src/local/qemu/end-vms.ts";
import { eventually } from "../support/eventually.ts";
import { startProcess } from "../support/process.ts";
import type { AccountPlace } from "../support/virtual-account.ts";
import type { Account } from "./cluster.ts";
import { runIn } from "./node/namespaces.ts";
import { VM_NETWORK } from "./node/place.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");
/** Nobody else listens in the cluster's network namespaces. */
const PORT = 4566;

/**
 * QEMU tells a guest from which address it is called, other than by loopback, and the guest has no way there: it has a
 * network of its own, without a gateway. So pods call by loopback as far as QEMU sees.
 */
const TABLE = "callers-of-vms";
const RULE = `ip daddr ${VM_NETWORK} snat to 127.0.0.1`;

/** An EC2 endpoint whose VMs run under QEMU. */
export interface QemuAccount extends Account {
  /** Holds a folder for each VM that is not terminated. */
  readonly vms: string;
}

/** Starts `satellites local-ec2` over QEMU at that place. */
export async function startQemuAccount(
  place: AccountPlace,
  hypervisor: HypervisorSetup,
): Promise<QemuAccount> {
  // The path of a VM's sockets is limited (unix(7)).
  const directory = mkdtempSync(join(tmpdir(), "ec2-"));
  const setup: LocalEc2Setup = { hypervisor, ...place };
  const file = join(directory, "setup.json");
  writeFileSync(file, JSON.stringify(setup));
  const args = [MAIN, "local-ec2", `--state-dir=${directory}`, `--port=${PORT}`, `--setup=${file}`];
  const log = join(directory, "log");
  const program = await startProcess("local-ec2", process.execPath, args, log);
  const url = `http://${place.host}:${PORT}`;
  await eventually("the EC2 endpoint serves", async () => {
    if (!program.isRunning()) {
      throw new Error(`it ended: ${program.logTail()}`);
    }
    return fetch(`${url}/_control/images`).then(
      ({ ok }) => ok,
      () => false,
    );
  });
  const here = { enter: [] };
  runIn(here, "nft", `table ip ${TABLE} { chain input { type nat hook input priority 100; ${RULE}; }; }`);
  const vms = join(directory, "vms");
  return {
    url,
    vms,
    async stop() {
      await program.stop("SIGTERM");
      await endAllVms(vms);
      runIn(here, "nft", "delete", "table", "ip", TABLE);
      rmSync(directory, { recursive: true });
    },
  };
}
