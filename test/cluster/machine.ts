import { execFileSync } from "node:child_process";
import { whyNoCgroups } from "./cgroups.ts";
import type { Prerequisite } from "../../src/local/qemu/prerequisites.ts";

/** Where Debian's CNI plugins are. */
export const CNI_PLUGINS = "/usr/lib/cni";

/** What nodes are made of beside the programs that are built. */
export const NODE_PROGRAMS: readonly Prerequisite[] = [
  { program: "containerd", debianPackage: "containerd", purpose: "run pods" },
  { program: "runc", debianPackage: "runc", purpose: "run containers" },
  { program: "host-local", debianPackage: "containernetworking-plugins", purpose: "give pods their network" },
  { program: "nft", debianPackage: "nftables", purpose: "lead Services to their pods" },
  { program: "iptables", debianPackage: "iptables", purpose: "enforce NetworkPolicy" },
  { program: "ipset", debianPackage: "ipset", purpose: "enforce NetworkPolicy" },
  { program: "ip", debianPackage: "iproute2", purpose: "give the node its network" },
  { program: "unshare", debianPackage: "util-linux", purpose: "give the node namespaces of its own" },
];

/** The namespaces in which the nodes live with their tests: ending the first process in them ends everything. */
export const NAMESPACES = [
  "--mount",
  "--net",
  "--pid",
  "--ipc",
  "--uts",
  "--fork",
  "--kill-child",
  "--mount-proc",
];

/** Why no node can run here; undefined where one can. */
export function whyNoNode(): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    return "needs root on Linux";
  }
  try {
    execFileSync("unshare", [...NAMESPACES, "true"], { stdio: "ignore" });
  } catch {
    return "needs root's right to make namespaces";
  }
  return whyNoCgroups();
}
