import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { NODE_ADDRESS, NODE_NAME, VM_NETWORK } from "./place.ts";

/** Values that the kubelet wants to see here, and would set for the whole machine (kubelet, "protectKernelDefaults"). */
const SYSCTLS: Readonly<Record<string, string>> = {
  "vm/overcommit_memory": "1",
  "kernel/panic": "10",
  "kernel/panic_on_oops": "1",
};

const run = (program: string, ...args: string[]): void => {
  execFileSync(program, args, { stdio: ["ignore", "ignore", "pipe"] });
};

/**
 * Prepares the namespaces that this process is in.
 *
 * @param directory on a file system of the machine; not under /var/lib, /var/log or /run, which become the node's own
 * @throws Error in the machine's own network namespace, which has more than loopback
 */
export function prepareNamespaces(directory: string): void {
  const devices = execFileSync("ip", ["-oneline", "link", "show"], { encoding: "utf8" }).trim().split("\n");
  // Loopback is in every new one, and with some kernels ends of tunnels.
  const other = devices.find((line) => line.includes("link/ether"));
  if (other !== undefined) {
    throw new Error(`this is no new network namespace, it has the interface ${other}`);
  }
  mounts(directory);
  network();
}

function mounts(directory: string): void {
  for (const folder of ["/run", "/var/lib", "/var/log"]) {
    if (directory.startsWith(`${folder}/`)) {
      throw new Error(
        `${directory} is in ${folder}, which becomes the node's own; set TMPDIR to another folder`,
      );
    }
  }
  run("mount", "--make-rprivate", "/");
  run("mount", "-t", "tmpfs", "tmpfs", "/run");
  for (const folder of ["/var/lib", "/var/log"]) {
    // Not in memory: containers' logs are here, and runc makes its folders executable.
    const own = join(directory, basename(folder));
    mkdirSync(own);
    run("mount", "--bind", own, folder);
  }
  const bound = join(directory, "bound");
  mkdirSync(bound);
  const put = (path: string, content: string): void => {
    const file = join(bound, path.replaceAll("/", "-"));
    writeFileSync(file, content);
    run("mount", "--bind", file, path);
  };
  for (const [name, value] of Object.entries(SYSCTLS)) {
    put(`/proc/sys/${name}`, `${value}\n`);
  }
  put("/etc/resolv.conf", `nameserver ${NODE_ADDRESS}\n`);
  put("/etc/hosts", `127.0.0.1 localhost\n${NODE_ADDRESS} ${NODE_NAME}\n`);
}

function network(): void {
  run("hostname", NODE_NAME);
  run("ip", "link", "set", "lo", "up");
  run("ip", "link", "add", "node0", "type", "bridge");
  run("ip", "address", "add", `${NODE_ADDRESS}/24`, "dev", "node0");
  run("ip", "link", "set", "node0", "up");
  // Nobody is there. But the kubelet takes the node's address from the default route, and some programs will not start without.
  run("ip", "route", "add", "default", "via", NODE_ADDRESS.replace(/\.1$/, ".2"), "dev", "node0");
  // Virtual VMs listen at any address of this network, without each being given to an interface.
  run("ip", "route", "add", "local", VM_NETWORK, "dev", "lo");
  writeFileSync("/proc/sys/net/ipv4/ip_forward", "1");
}

/** Whether containerd can lay file systems over each other in that folder; else it has to copy them. */
export function canOverlay(directory: string): boolean {
  const [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map((name) => {
    const path = join(directory, "overlay-trial", name);
    mkdirSync(path, { recursive: true });
    return path;
  });
  try {
    const options = `lowerdir=${lower ?? ""},upperdir=${upper ?? ""},workdir=${work ?? ""}`;
    run("mount", "-t", "overlay", "overlay", "-o", options, merged ?? "");
    writeFileSync(join(merged ?? "", "file"), "seen");
    const seen = readFileSync(join(upper ?? "", "file"), "utf8") === "seen";
    run("umount", merged ?? "");
    return seen;
  } catch {
    return false;
  }
}
