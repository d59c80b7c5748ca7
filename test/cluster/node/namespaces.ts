import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { eventually } from "../../support/eventually.ts";
import { startProcess, type TestProcess } from "../../support/process.ts";
import {
  FIRST_NODE,
  NODE_PLACES,
  NOBODYS_ADDRESS,
  type NodePlace,
  SECOND_NODE,
  VM_NETWORK,
} from "./place.ts";

/** Values that the kubelet wants to see here, and would set for the whole machine (kubelet, "protectKernelDefaults"). */
const SYSCTLS: Readonly<Record<string, string>> = {
  "vm/overcommit_memory": "1",
  "kernel/panic": "10",
  "kernel/panic_on_oops": "1",
};

/** Mount, network and UTS namespaces, in which a node is. */
export interface NodeNamespaces {
  readonly place: NodePlace;
  /** Holds what the node's programs write. */
  readonly directory: string;
  /** Put before a command line: the program then runs in the node, under the process ID that it has outside. */
  readonly enter: readonly string[];
}

/** Runs a program in a node to its end. @throws Error with what it wrote to standard error */
export function runIn({ enter }: Pick<NodeNamespaces, "enter">, ...command: string[]): string {
  const [program = "", ...args] = [...enter, ...command];
  return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Starts a program in a node, whose output goes to NAME.log in the node's folder. */
export function startIn(
  { enter, directory }: NodeNamespaces,
  name: string,
  program: string,
  args: readonly string[],
): Promise<TestProcess> {
  const [first, ...rest] = [...enter, program, ...args];
  return startProcess(name, first ?? program, rest, join(directory, `${name}.log`));
}

/**
 * Makes the namespaces that this process is in those of the first node.
 *
 * @param directory on a file system of the machine; not under /var/lib, /var/log or /run, which become the node's own
 * @throws Error in the machine's own network namespace, which has more than loopback
 */
export function enterFirstNode(directory: string): NodeNamespaces {
  const node = { place: FIRST_NODE, directory, enter: [] };
  const devices = runIn(node, "ip", "-oneline", "link", "show").trim().split("\n");
  // Loopback is in every new one, and with some kernels ends of tunnels.
  const other = devices.find((line) => line.includes("link/ether"));
  if (other !== undefined) {
    throw new Error(`this is no new network namespace, it has the interface ${other}`);
  }
  runIn(node, "mount", "--make-rprivate", "/");
  mkdirSync(directory);
  mounts(node);
  for (const [name, value] of Object.entries(SYSCTLS)) {
    bind(node, `/proc/sys/${name}`, `${value}\n`);
  }
  runIn(node, "ip", "link", "add", "node0", "type", "bridge");
  network(node, "node0", NOBODYS_ADDRESS);
  // Virtual VMs listen at any address of this network, without each being given to an interface.
  runIn(node, "ip", "route", "add", "local", VM_NETWORK, "dev", "lo");
  return node;
}

/** Makes a second node, whose network is joined to that of the first; it ends with the process namespace. */
export async function makeSecondNode(first: NodeNamespaces, directory: string): Promise<NodeNamespaces> {
  mkdirSync(directory);
  const namespaces = ["--mount", "--net", "--uts"];
  const args = [...namespaces, "sleep", "infinity"];
  const holder = await startProcess("unshare", "unshare", args, join(directory, "namespaces.log"));
  await eventually("the second node has namespaces of its own", async () => {
    if (!holder.isRunning()) {
      throw new Error(`no namespaces: ${holder.logTail()}`);
    }
    // It becomes this program once they are made.
    return readFileSync(`/proc/${holder.pid}/comm`, "utf8") === "sleep\n";
  });
  const enter = ["nsenter", `--target=${holder.pid}`, ...namespaces, "--"];
  const node = { place: SECOND_NODE, directory, enter };
  mounts(node);
  const { address, podNetwork } = SECOND_NODE;
  const cable = [
    "link",
    "add",
    "node0-2",
    "type",
    "veth",
    "peer",
    "name",
    "eth0",
    "netns",
    String(holder.pid),
  ];
  runIn(first, "ip", ...cable);
  runIn(first, "ip", "link", "set", "node0-2", "master", "node0", "up");
  network(node, "eth0", FIRST_NODE.address);
  runIn(first, "ip", "route", "add", podNetwork, "via", address);
  return node;
}

function mounts(node: NodeNamespaces): void {
  for (const folder of ["/run", "/var/lib", "/var/log"]) {
    if (node.directory.startsWith(`${folder}/`)) {
      throw new Error(
        `${node.directory} is in ${folder}, which becomes the node's own; set TMPDIR to another folder`,
      );
    }
  }
  runIn(node, "mount", "-t", "tmpfs", "tmpfs", "/run");
  for (const folder of ["/var/lib", "/var/log"]) {
    // Not in memory: containers' logs are here, and runc makes its folders executable.
    const own = join(node.directory, basename(folder));
    mkdirSync(own);
    runIn(node, "mount", "--bind", own, folder);
  }
  bind(node, "/etc/resolv.conf", `nameserver ${FIRST_NODE.address}\n`);
  const hosts = NODE_PLACES.map(({ name, address }) => `${address} ${name}\n`);
  bind(node, "/etc/hosts", `127.0.0.1 localhost\n${hosts.join("")}`);
}

/** Puts a file over another one. */
function bind(node: NodeNamespaces, path: string, content: string): void {
  const folder = join(node.directory, "bound");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, path.replaceAll("/", "-"));
  writeFileSync(file, content);
  runIn(node, "mount", "--bind", file, path);
}

/** Gives a node its name, its address on a device, and a way to everything else. */
function network(node: NodeNamespaces, device: string, gateway: string): void {
  const { name, address } = node.place;
  runIn(node, "hostname", name);
  runIn(node, "ip", "link", "set", "lo", "up");
  runIn(node, "ip", "address", "add", `${address}/24`, "dev", device);
  runIn(node, "ip", "link", "set", device, "up");
  runIn(node, "ip", "route", "add", "default", "via", gateway, "dev", device);
  // Of the namespace that the shell is in.
  runIn(node, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward");
}

/** Whether containerd can lay file systems over each other in that folder; else it has to copy them. */
export function canOverlay(directory: string): boolean {
  const here = { enter: [] };
  const [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map((name) => {
    const path = join(directory, "overlay-trial", name);
    mkdirSync(path, { recursive: true });
    return path;
  });
  try {
    const options = `lowerdir=${lower ?? ""},upperdir=${upper ?? ""},workdir=${work ?? ""}`;
    runIn(here, "mount", "-t", "overlay", "overlay", "-o", options, merged ?? "");
    writeFileSync(join(merged ?? "", "file"), "seen");
    const seen = readFileSync(join(upper ?? "", "file"), "utf8") === "seen";
    runIn(here, "umount", merged ?? "");
    return seen;
  } catch {
    return false;
  }
}
